/* A plugin in C: shifts letters along the alphabet.
 *
 *   cc -shared -fPIC -I Sources/CRingwayPlugin -o pipelines/native/libshift.so pipelines/native/shift.c
 */
#include <stdlib.h>
#include <string.h>

#include "ringway_plugin.h"

struct shift {
  int by;
};

uint32_t ringway_plugin_abi(void) { return RINGWAY_PLUGIN_ABI; }

const char *ringway_plugin_spec(void) {
  return "{\"name\": \"shift\", \"kind\": \"transform\", \"summary\": \"Shifts letters along the alphabet.\","
         " \"settings\": {\"type\": \"object\", \"properties\": {"
         "  \"by\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 25, \"default\": 13, \"description\": \"How far.\"}}}}";
}

/* The settings have been checked, and defaults are filled in: "by" is there, and it is a number from 0 to 25. */
void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host) {
  (void)context;
  const char *by = strstr(settings, "\"by\":");
  struct shift *shift = malloc(sizeof *shift);
  if (by == NULL || shift == NULL) {
    host->explain(host->handle, "there is no setting `by`, or no memory");
    free(shift);
    return NULL;
  }
  shift->by = atoi(by + strlen("\"by\":"));
  return shift;
}

static char moved(char c, char first, int by) { return (char)(first + (c - first + by) % 26); }

int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host) {
  const struct shift *shift = plugin;
  const char *from = message->data;
  char *to = host->reserve(host->handle, message->length);
  if (to == NULL) return RINGWAY_REFUSED;
  for (size_t i = 0; i < message->length; i++) {
    char c = from[i];
    to[i] = c >= 'a' && c <= 'z' ? moved(c, 'a', shift->by) : c >= 'A' && c <= 'Z' ? moved(c, 'A', shift->by) : c;
  }
  return host->emit_reserved(host->handle, message->length, message->format) == 0 ? RINGWAY_OK : RINGWAY_REFUSED;
}

int ringway_plugin_close(void *plugin, const ringway_host *host) {
  (void)host;
  free(plugin);
  return RINGWAY_OK;
}
