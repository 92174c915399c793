#pragma once
/* libcurl, loaded when it is first needed. Some thirty libraries come along with it; loading them with the program would take
   more than half of a worker's start, and of its memory, and only what talks HTTP needs them.
   Each function does what libcurl's of the same name does (curl_... in its manual), once libcurl_load() has returned NULL. The setters
   and getters fix the type of an argument that libcurl takes as a variable one, which Swift cannot call. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* NULL, or why it cannot be loaded, in the loader's words (dlerror(3)). Called once. */
const char *libcurl_load(void);

CURLcode libcurl_global_init(long flags);
CURL *libcurl_easy_init(void);
void libcurl_easy_cleanup(CURL *handle);
const char *libcurl_easy_strerror(CURLcode code);
CURLcode libcurl_set_long(CURL *handle, CURLoption option, long value);
CURLcode libcurl_set_offset(CURL *handle, CURLoption option, curl_off_t value);
CURLcode libcurl_set_text(CURL *handle, CURLoption option, const char *value);
CURLcode libcurl_set_pointer(CURL *handle, CURLoption option, const void *value);
CURLcode libcurl_set_list(CURL *handle, CURLoption option, struct curl_slist *value);
CURLcode libcurl_set_writer(CURL *handle, size_t (*write)(char *, size_t, size_t, void *), void *context);
CURLcode libcurl_get_long(CURL *handle, CURLINFO info, long *value);
CURLcode libcurl_get_offset(CURL *handle, CURLINFO info, curl_off_t *value);

CURLM *libcurl_multi_init(void);
CURLMcode libcurl_multi_cleanup(CURLM *multi);
CURLMcode libcurl_multi_set_long(CURLM *multi, CURLMoption option, long value);
CURLMcode libcurl_multi_add_handle(CURLM *multi, CURL *handle);
CURLMcode libcurl_multi_remove_handle(CURLM *multi, CURL *handle);
CURLMcode libcurl_multi_perform(CURLM *multi, int *running);
CURLMcode libcurl_multi_poll(CURLM *multi, struct curl_waitfd *extra, unsigned count, int timeout_ms, int *ready);
CURLMsg *libcurl_multi_info_read(CURLM *multi, int *left);
/* The result stands in a union. */
CURLcode libcurl_message_result(const CURLMsg *message);

struct curl_slist *libcurl_slist_append(struct curl_slist *list, const char *text);
void libcurl_slist_free_all(struct curl_slist *list);
