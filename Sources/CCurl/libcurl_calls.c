#include "libcurl_calls.h"

#include <dlfcn.h>

/* The major number that the headers belong to: every libcurl since 7.16 has it. */
#define LIBRARY "libcurl.so.4"

#define FUNCTIONS(F)                                                                                                          \
  F(global_init) F(easy_init) F(easy_cleanup) F(easy_strerror) F(easy_setopt) F(easy_getinfo) F(multi_init) F(multi_cleanup)  \
  F(multi_setopt) F(multi_add_handle) F(multi_remove_handle) F(multi_perform) F(multi_poll) F(multi_info_read)                \
  F(slist_append) F(slist_free_all)

static struct {
#define POINTER(name) __typeof__(curl_##name) *name;
  FUNCTIONS(POINTER)
} lib;

const char *libcurl_load(void) {
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return dlerror();
#define FIND(name)                                         \
  *(void **)&lib.name = dlsym(library, "curl_" #name);     \
  if (lib.name == NULL) return LIBRARY " has no curl_" #name;
  FUNCTIONS(FIND)
  return NULL;
}

CURLcode libcurl_global_init(long flags) { return lib.global_init(flags); }
CURL *libcurl_easy_init(void) { return lib.easy_init(); }
void libcurl_easy_cleanup(CURL *handle) { lib.easy_cleanup(handle); }
const char *libcurl_easy_strerror(CURLcode code) { return lib.easy_strerror(code); }
CURLcode libcurl_set_long(CURL *handle, CURLoption option, long value) { return lib.easy_setopt(handle, option, value); }
CURLcode libcurl_set_offset(CURL *handle, CURLoption option, curl_off_t value) { return lib.easy_setopt(handle, option, value); }
CURLcode libcurl_set_text(CURL *handle, CURLoption option, const char *value) { return lib.easy_setopt(handle, option, value); }
CURLcode libcurl_set_pointer(CURL *handle, CURLoption option, const void *value) { return lib.easy_setopt(handle, option, (void *)value); }
CURLcode libcurl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) { return lib.easy_setopt(handle, option, value); }
CURLcode libcurl_set_writer(CURL *handle, size_t (*write)(char *, size_t, size_t, void *), void *context) {
  CURLcode code = lib.easy_setopt(handle, CURLOPT_WRITEFUNCTION, write);
  return code == CURLE_OK ? lib.easy_setopt(handle, CURLOPT_WRITEDATA, context) : code;
}
CURLcode libcurl_get_long(CURL *handle, CURLINFO info, long *value) { return lib.easy_getinfo(handle, info, value); }
CURLcode libcurl_get_offset(CURL *handle, CURLINFO info, curl_off_t *value) { return lib.easy_getinfo(handle, info, value); }

CURLM *libcurl_multi_init(void) { return lib.multi_init(); }
CURLMcode libcurl_multi_cleanup(CURLM *multi) { return lib.multi_cleanup(multi); }
CURLMcode libcurl_multi_set_long(CURLM *multi, CURLMoption option, long value) { return lib.multi_setopt(multi, option, value); }
CURLMcode libcurl_multi_add_handle(CURLM *multi, CURL *handle) { return lib.multi_add_handle(multi, handle); }
CURLMcode libcurl_multi_remove_handle(CURLM *multi, CURL *handle) { return lib.multi_remove_handle(multi, handle); }
CURLMcode libcurl_multi_perform(CURLM *multi, int *running) { return lib.multi_perform(multi, running); }
CURLMcode libcurl_multi_poll(CURLM *multi, struct curl_waitfd *extra, unsigned count, int timeout_ms, int *ready) {
  return lib.multi_poll(multi, extra, count, timeout_ms, ready);
}
CURLMsg *libcurl_multi_info_read(CURLM *multi, int *left) { return lib.multi_info_read(multi, left); }
CURLcode libcurl_message_result(const CURLMsg *message) { return message->data.result; }

struct curl_slist *libcurl_slist_append(struct curl_slist *list, const char *text) { return lib.slist_append(list, text); }
void libcurl_slist_free_all(struct curl_slist *list) { lib.slist_free_all(list); }
