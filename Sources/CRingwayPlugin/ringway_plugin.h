/* What a shared library must have to be a plugin of Ringway: five functions.
 *
 * A pipeline file names the library under `plugins:`; stages use the plugin by the name that its spec gives. Every process of such a stage
 * loads the library and opens the plugin once. All functions are called by one thread. A function that crashes is a worker's death
 * like any other: the message in hand is tried again. What the library writes to stdout and stderr goes to the log.
 */
#ifndef RINGWAY_PLUGIN_H
#define RINGWAY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface: what ringway_plugin_abi must return. */
#define RINGWAY_PLUGIN_ABI 1

/* What the bytes of a message are. */
#define RINGWAY_BYTES 0
#define RINGWAY_TEXT 1
#define RINGWAY_JSON 2

/* What became of a call. */
#define RINGWAY_OK 0
/* A source has no more messages. */
#define RINGWAY_END 1
/* The message failed; it may be tried again. `on_error` of the stage decides. What was emitted in this call is forgotten. */
#define RINGWAY_FAILED 2
/* The message failed, and would again. */
#define RINGWAY_REFUSED 3
/* Whatever comes next would fail too: the run stops with exit code 76. */
#define RINGWAY_BROKEN 4

/* A message; valid until the call that got it returns. */
typedef struct ringway_message {
  const void *data;
  size_t length;
  /* RINGWAY_BYTES, RINGWAY_TEXT or RINGWAY_JSON: what the stage before said of it. */
  uint32_t format;
  /* How often it was tried before. */
  uint32_t attempts;
  /* The same over retries, restarts and resume. */
  uint64_t id[2];
} ringway_message;

/* What a plugin may ask of its host while it is called. */
typedef struct ringway_host {
  void *handle;
  /* Hands on a copy of these bytes once the call has returned RINGWAY_OK. Returns 0, or another number when a reader's queue does not take a
   * message that large: then return RINGWAY_REFUSED. */
  int (*emit)(void *handle, const void *data, size_t length, uint32_t format);
  /* Memory of so many bytes in the reader's ring, to be filled and then handed on by emit_reserved; NULL when that is too large. */
  void *(*reserve)(void *handle, size_t length);
  /* Hands on the first `length` bytes of what was reserved. */
  int (*emit_reserved)(void *handle, size_t length, uint32_t format);
  /* Says why the call fails: one sentence, lower case, without a full stop. It is copied. */
  void (*explain)(void *handle, const char *text);
  /* The same as emit, by a port that the spec declares: 1 is the first, 0 the main one. */
  int (*emit_to)(void *handle, uint32_t port, const void *data, size_t length, uint32_t format);
} ringway_host;

typedef struct ringway_context {
  /* The stage's name in the pipeline file. */
  const char *stage;
  /* Which process of the stage this is, from 0. */
  uint32_t process;
  /* The folder of the pipeline file. */
  const char *directory;
  /* For a source that was started again: how many of its calls have been handed over; the next one must be what follows. 0 at first. */
  uint64_t position;
} ringway_context;

/* Returns RINGWAY_PLUGIN_ABI. */
uint32_t ringway_plugin_abi(void);

/* Returns what the plugin is, as JSON in UTF-8 that stays valid:
 *   {"name": "blur", "kind": "source" | "transform" | "sink", "summary": "Blurs a picture.", "details": "…",
 *    "settings": {"type": "object", "properties": {"radius": {"type": "integer", "minimum": 1, "default": 2, "description": "…"}},
 *                 "required": []}, "ports": ["bright", "dark"]}
 * `settings` is a JSON Schema (draft 2020-12); the pipeline file is checked against it before anything starts. A property with
 * "x-secret": true is never shown. `ports`, which may be left out, are other ways than the main one by which it hands messages on. It is called before ringway_plugin_open and must not need anything. */
const char *ringway_plugin_spec(void);

/* Opens the plugin. `settings` is JSON: what the file says, and the defaults of what it does not.
 * Returns what the other calls get as `plugin`, or NULL after explain when it cannot run: then the run stops with exit code 78. */
void *ringway_plugin_open(const char *settings, const ringway_context *context, const ringway_host *host);

/* Works on a message; a source gets NULL, and emits at most one. */
int ringway_plugin_process(void *plugin, const ringway_message *message, const ringway_host *host);

/* The stage has ended in order; not called after a crash. */
int ringway_plugin_close(void *plugin, const ringway_host *host);

#ifdef __cplusplus
}
#endif

#endif
