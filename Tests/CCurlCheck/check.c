/* Calls every function of CCurl once. Built by `make sanitize` with clang's checks for undefined behaviour and for addresses, which end
   the program at the first finding. */
#include "libcurl_calls.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "line %d: %s\n", __LINE__, #what); exit(1); } } while (0)

static size_t take(char *bytes, size_t size, size_t count, void *context) {
  (void)bytes;
  *(size_t *)context += size * count;
  return size * count;
}

int main(void) {
  CHECK(libcurl_load() == NULL);
  CHECK(libcurl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  CURLM *multi = libcurl_multi_init();
  CURL *handle = libcurl_easy_init();
  CHECK(multi != NULL && handle != NULL);
  size_t received = 0;
  struct curl_slist *headers = libcurl_slist_append(NULL, "Expect:");
  CHECK(headers != NULL);
  CHECK(libcurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, 1) == CURLM_OK);
  CHECK(libcurl_set_long(handle, CURLOPT_POST, 1) == CURLE_OK);
  CHECK(libcurl_set_text(handle, CURLOPT_PROXY, "") == CURLE_OK);
  /* Nobody listens there, so the request fails at once. */
  CHECK(libcurl_set_text(handle, CURLOPT_URL, "http://127.0.0.1:1/") == CURLE_OK);
  CHECK(libcurl_set_pointer(handle, CURLOPT_POSTFIELDS, "x") == CURLE_OK);
  CHECK(libcurl_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, 1) == CURLE_OK);
  CHECK(libcurl_set_list(handle, CURLOPT_HTTPHEADER, headers) == CURLE_OK);
  CHECK(libcurl_set_writer(handle, take, &received) == CURLE_OK);
  CHECK(libcurl_multi_add_handle(multi, handle) == CURLM_OK);
  int running = 1, ready = 0, left = 0;
  while (running > 0) {
    CHECK(libcurl_multi_perform(multi, &running) == CURLM_OK);
    if (running > 0) CHECK(libcurl_multi_poll(multi, NULL, 0, 1000, &ready) == CURLM_OK);
  }
  CURLMsg *message = libcurl_multi_info_read(multi, &left);
  CHECK(message != NULL && message->msg == CURLMSG_DONE && libcurl_message_result(message) == CURLE_COULDNT_CONNECT);
  CHECK(libcurl_easy_strerror(CURLE_COULDNT_CONNECT)[0] != 0 && received == 0);
  long status = -1;
  curl_off_t wait = -1;
  CHECK(libcurl_get_long(handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 0);
  CHECK(libcurl_get_offset(handle, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait == 0);
  CHECK(libcurl_multi_remove_handle(multi, handle) == CURLM_OK);
  libcurl_easy_cleanup(handle);
  libcurl_slist_free_all(headers);
  CHECK(libcurl_multi_cleanup(multi) == CURLM_OK);
  return 0;
}
