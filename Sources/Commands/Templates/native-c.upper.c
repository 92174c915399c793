#include <stdlib.h>
#include <string.h>

#include "ringway_plugin.h"

uint32_t ringway_plugin_abi(void) { return RINGWAY_PLUGIN_ABI; }

const char *ringway_plugin_spec(void) {
  return "{\"name\": \"upper\", \"kind\": \"transform\", \"summary\": \"Writes some letters large.\","
         " \"settings\": {\"type\": \"object\", \"properties\": {"
         "  \"letters\": {\"type\": \"string\", \"pattern\": \"^[a-z]*$\", \"default\": \"abc\", \"description\": \"Which.\"}}}}";
}

/* The settings have been checked: "letters" is there, and it has letters only. */
void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) {
  (void)context;
  (void)host;
  const char *start = strstr(settings, "\"letters\":\"") + strlen("\"letters\":\"");
  return strndup(start, strcspn(start, "\""));
}

int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host) {
  const char *from = message->data, *letters = plugin;
  char *to = host->reserve(host->handle, message->length);
  if (to == NULL) return RINGWAY_REFUSED;
  for (size_t i = 0; i < message->length; i++) {
    int is_one = from[i] >= 'a' && from[i] <= 'z' && strchr(letters, from[i]) != NULL;
    to[i] = is_one ? (char)(from[i] - 'a' + 'A') : from[i];
  }
  return host->emit_reserved(host->handle, message->length, message->format) == 0 ? RINGWAY_OK : RINGWAY_REFUSED;
}

int ringway_plugin_close(void *plugin, const ringway_host *host) {
  (void)host;
  free(plugin);
  return RINGWAY_OK;
}
