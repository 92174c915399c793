/// The schema of a catalog with two plugins. When it changes, so does `schemas/pipeline.schema.json`: `make schema` writes it.
enum SchemaGolden {
  static let text = ##"""
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "Ringway pipeline",
      "type": "object",
      "description": "A dataflow of processes joined by bounded queues.",
      "additionalProperties": false,
      "properties": {
        "ringway": {
          "description": "Version of this language.",
          "type": "integer",
          "const": 1,
          "x-expected": "1, the version of the language that this program reads",
          "examples": [
            1
          ]
        },
        "name": {
          "description": "Name of the pipeline, for reports; the file's name unless given.",
          "type": "string",
          "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,62}$|\\$\\{",
          "x-expected": "a name of at most 63 letters, digits, _, . and - that begins with a letter",
          "examples": [
            "frames"
          ]
        },
        "description": {
          "description": "What it does, for people.",
          "type": "string",
          "x-expected": "a string",
          "default": "",
          "examples": [
            "Frames from a camera, one detector for each core"
          ]
        },
        "parameters": {
          "description": "Values that `${NAME}` stands for; `--set NAME=VALUE`, or else the environment variable RINGWAY_NAME, overrides them.",
          "type": "object",
          "propertyNames": {
            "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$",
            "x-expected": "a name of letters, digits and _"
          },
          "additionalProperties": {
            "$ref": "#/$defs/parameter"
          },
          "x-expected": "a mapping of names to parameters",
          "examples": [
            {
              "count": {
                "type": "integer",
                "default": 1000
              }
            }
          ]
        },
        "plugins": {
          "description": "Shared libraries that bring plugins (ringway_plugin.h), by paths relative to the pipeline file's folder.",
          "type": "array",
          "minItems": 1,
          "items": {
            "type": "string",
            "minLength": 1,
            "x-expected": "the path of a shared library"
          },
          "x-expected": "a list of paths",
          "examples": [
            [
              "build/libblur.so"
            ]
          ]
        },
        "memory": {
          "description": "How much memory the queues may reserve together; half of what is available unless given.",
          "type": "string",
          "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
          "x-expected": "a size with its unit, such as 64KiB or 1MB",
          "examples": [
            "2GiB"
          ]
        },
        "drain": {
          "description": "How long the messages under way may take after the first Ctrl-C before the run stops with work left.",
          "type": "string",
          "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
          "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
          "default": "30s",
          "examples": [
            "30s"
          ]
        },
        "stages": {
          "description": "The stages by name. A source has no inputs; a sink is read by nobody.",
          "type": "object",
          "minProperties": 1,
          "propertyNames": {
            "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,62}$",
            "x-expected": "a name of at most 63 letters, digits, _ and - that begins with a letter"
          },
          "additionalProperties": {
            "$ref": "#/$defs/stage"
          },
          "x-expected": "a mapping of names to stages",
          "examples": [
            {
              "numbers": {
                "plugin": "generate",
                "with": {
                  "count": 1000
                }
              },
              "show": {
                "plugin": "stdout",
                "inputs": [
                  "numbers"
                ]
              }
            }
          ]
        }
      },
      "required": [
        "ringway",
        "stages"
      ],
      "$defs": {
        "stage": {
          "type": "object",
          "description": "A plugin, in one or many processes, behind a queue.",
          "additionalProperties": false,
          "properties": {
            "plugin": {
              "description": "What the stage does:\n- numbers (source): Makes numbers.\n- add (transform): Adds a text.",
              "type": "string",
              "enum": [
                "numbers",
                "add"
              ],
              "enumDescriptions": [
                "Makes numbers.",
                "Adds a text."
              ],
              "x-expected": "the name of a plugin",
              "examples": [
                "numbers"
              ]
            },
            "description": {
              "description": "What the stage is for, for people.",
              "type": "string",
              "x-expected": "a string",
              "default": "",
              "examples": [
                "Finds what moves in a frame"
              ]
            },
            "inputs": {
              "description": "The stages whose messages this one reads, or ports of stages, as `STAGE.PORT`. Each reader of a stage gets every message; several inputs merge. `STAGE.dead_letter` are the messages that a stage has given up.",
              "type": "array",
              "minItems": 1,
              "items": {
                "type": "string",
                "x-expected": "the name of a stage"
              },
              "x-expected": "a list of stages, such as [camera]",
              "examples": [
                [
                  "camera"
                ]
              ]
            },
            "ignore": {
              "description": "Ports of this stage that nobody reads: what is handed on there is thrown away.",
              "type": "array",
              "minItems": 1,
              "items": {
                "type": "string",
                "x-expected": "the name of a port"
              },
              "x-expected": "a list of ports, such as [else]",
              "examples": [
                [
                  "else"
                ]
              ]
            },
            "processes": {
              "description": "How many processes run the plugin; `auto` is one for each CPU that this program may use, of those in `affinity` if it is given, never more than the queue's capacity.",
              "if": {
                "$ref": "#/$defs/expansion"
              },
              "else": {
                "anyOf": [
                  {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 4095
                  },
                  {
                    "const": "auto"
                  }
                ],
                "x-expected": "an integer from 1 to 4095, or auto"
              },
              "default": 1,
              "examples": [
                "auto"
              ]
            },
            "queue": {
              "description": "The queue in front of the stage.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "capacity": {
                  "description": "How many messages may wait or be worked on.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1048576,
                    "x-expected": "an integer from 1 to 1048576"
                  },
                  "default": 256,
                  "examples": [
                    64
                  ]
                },
                "message": {
                  "description": "The largest message.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
                  "x-expected": "a size from 1 B to 1 GiB with its unit, such as 64KiB or 1MB",
                  "default": "1MiB",
                  "examples": [
                    "64KiB"
                  ]
                },
                "bytes": {
                  "description": "The most memory that the queue may take; writers wait for memory as they do for a place. As much as `capacity` messages can need unless given.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
                  "x-expected": "a size from 1 B to 1024 TiB with its unit, such as 64KiB or 1MB",
                  "examples": [
                    "64MiB"
                  ]
                },
                "when_full": {
                  "description": "What happens to a message that finds no room: its writer waits (`block`), it is dropped itself (`drop_newest`), or the oldest that nobody works on makes room for it (`drop_oldest`). What is dropped is counted.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "string",
                    "enum": [
                      "block",
                      "drop_newest",
                      "drop_oldest"
                    ],
                    "x-expected": "block, drop_newest or drop_oldest"
                  },
                  "default": "block",
                  "examples": [
                    "drop_oldest"
                  ]
                }
              },
              "x-expected": "a mapping",
              "examples": [
                {
                  "capacity": 64,
                  "message": "1MiB"
                }
              ]
            },
            "partition": {
              "description": "Shares the stage's messages among its processes by their keys: each process has a queue of its own, with `queue` for each, and equal keys go to the same process, in the order in which each process before it made them, also over restarts.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "key": {
                  "description": "A filter in the jq language that gives a message's key: exactly one JSON value. A message of which it makes none, several or an error is a failure of the stage that made it.",
                  "type": "string",
                  "minLength": 1,
                  "x-expected": "a string",
                  "examples": [
                    ".user"
                  ]
                },
                "input": {
                  "description": "How the filter sees a message: json, as the value that its text means; text, as a string.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "string",
                    "enum": [
                      "json",
                      "text"
                    ],
                    "x-expected": "json or text"
                  },
                  "default": "json",
                  "examples": [
                    "json"
                  ]
                }
              },
              "required": [
                "key"
              ],
              "x-expected": "a mapping",
              "examples": [
                {
                  "key": ".user"
                }
              ]
            },
            "with": {
              "description": "The plugin's settings.",
              "type": "object",
              "x-expected": "a mapping of the plugin's settings",
              "examples": [
                {
                  "count": 1000
                }
              ]
            },
            "restart": {
              "description": "How often a worker may die without having made progress.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "max": {
                  "description": "How many starts may fail within the time.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 1000000,
                    "x-expected": "an integer from 0 to 1000000"
                  },
                  "default": 5,
                  "examples": [
                    5
                  ]
                },
                "within": {
                  "description": "The time in which they are counted.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
                  "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
                  "default": "10s",
                  "examples": [
                    "10s"
                  ]
                },
                "backoff": {
                  "description": "The pause before the first restart; it doubles each time.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
                  "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
                  "default": "100ms",
                  "examples": [
                    "100ms"
                  ]
                }
              },
              "x-expected": "a mapping",
              "examples": [
                {
                  "max": 5,
                  "within": "10s",
                  "backoff": "100ms"
                }
              ]
            },
            "on_error": {
              "description": "What happens to a message that fails.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "retries": {
                  "description": "How often a message is tried again after its plugin failed.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 254,
                    "x-expected": "an integer from 0 to 254"
                  },
                  "default": 2,
                  "examples": [
                    2
                  ]
                },
                "deaths": {
                  "description": "How many workers may die with a message in hand before it is given up.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 254,
                    "x-expected": "an integer from 1 to 254"
                  },
                  "default": 3,
                  "examples": [
                    3
                  ]
                },
                "then": {
                  "description": "What happens to a message that is given up: `stop` the run (exit 65), `drop` it and count it, or hand it on as a `dead_letter` to the readers of `STAGE.dead_letter`. With such a reader the default is dead_letter, without one it is stop.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "string",
                    "enum": [
                      "stop",
                      "drop",
                      "dead_letter"
                    ],
                    "x-expected": "stop, drop or dead_letter"
                  },
                  "examples": [
                    "drop"
                  ]
                },
                "max_dead_letters": {
                  "description": "How many messages of the stage may become dead letters; the next one that is given up stops the run (exit 65).",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 1000000000000,
                    "x-expected": "an integer from 0 to 1000000000000"
                  },
                  "examples": [
                    1000
                  ]
                }
              },
              "x-expected": "a mapping",
              "examples": [
                {
                  "retries": 2,
                  "then": "stop"
                }
              ]
            },
            "timeout": {
              "description": "How long one message may take; a worker that takes longer is killed and the message is tried again. One that takes longer to close its plugin ends the run.",
              "type": "string",
              "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
              "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
              "examples": [
                "5s"
              ]
            },
            "startup_timeout": {
              "description": "How long a worker may take to open its plugin; one that takes longer is killed and named with what it was at, and counts as a start without progress, until one becomes ready.",
              "type": "string",
              "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
              "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
              "examples": [
                "30s"
              ]
            },
            "rate": {
              "description": "How many messages a second the stage may begin, all of its processes together; a source, how many it may make.",
              "type": "string",
              "pattern": "^[0-9]+(\\.[0-9]+)?/(s|m|h)$|\\$\\{",
              "x-expected": "a rate with its unit, such as 100/s",
              "examples": [
                "100/s"
              ]
            },
            "order": {
              "description": "`input` hands on what the stage makes in the order of its inputs, over all of its processes. A process that is ahead works on meanwhile, as far as the queues in front of the stage and behind it go.",
              "if": {
                "$ref": "#/$defs/expansion"
              },
              "else": {
                "type": "string",
                "enum": [
                  "input"
                ],
                "x-expected": "input"
              },
              "examples": [
                "input"
              ]
            },
            "batch": {
              "description": "Messages that a sink, or a plugin that takes several in one call, works on together.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "count": {
                  "description": "How many messages make a batch.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 65536,
                    "x-expected": "an integer from 1 to 65536"
                  },
                  "examples": [
                    100
                  ]
                },
                "bytes": {
                  "description": "A batch that has so many bytes is complete, however few its messages.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
                  "x-expected": "a size from 1 B to 1 TiB with its unit, such as 64KiB or 1MB",
                  "examples": [
                    "1MiB"
                  ]
                },
                "within": {
                  "description": "How long the first message of a batch may wait for others; without it a batch is what is there. A batch also ends when writers wait for the places that it holds.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
                  "x-expected": "a duration from 1ns to 365d with its unit, such as 250ms or 5s",
                  "examples": [
                    "1s"
                  ]
                }
              },
              "required": [
                "count"
              ],
              "x-expected": "a mapping",
              "examples": [
                {
                  "count": 100,
                  "within": "1s"
                }
              ]
            },
            "limits": {
              "description": "What each of the stage's processes may use, and every program that it starts.",
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "memory": {
                  "description": "Private memory: heap, stacks and data. The queues, which all share, do not count.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
                  "x-expected": "a size of at least 16 MiB with its unit, such as 64KiB or 1MB",
                  "examples": [
                    "2GiB"
                  ]
                },
                "files": {
                  "description": "Open file descriptors; those of its queues count.",
                  "if": {
                    "$ref": "#/$defs/expansion"
                  },
                  "else": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1073741816,
                    "x-expected": "an integer from 1 to 1073741816"
                  },
                  "examples": [
                    1024
                  ]
                },
                "cpu": {
                  "description": "Processor time, in whole seconds; a process that has used it is killed.",
                  "type": "string",
                  "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|h|d)$|\\$\\{",
                  "x-expected": "a duration from 1s to 365d with its unit, such as 250ms or 5s",
                  "examples": [
                    "1h"
                  ]
                }
              },
              "x-expected": "a mapping",
              "examples": [
                {
                  "memory": "2GiB",
                  "files": 1024,
                  "cpu": "1h"
                }
              ]
            },
            "nice": {
              "description": "How much the stage's processes let others go first (nice(1)); below what the runner has it takes a privilege.",
              "if": {
                "$ref": "#/$defs/expansion"
              },
              "else": {
                "type": "integer",
                "minimum": -20,
                "maximum": 19,
                "x-expected": "an integer from -20 to 19"
              },
              "examples": [
                10
              ]
            },
            "affinity": {
              "description": "The CPUs that the stage's processes may use, by number; all that this program may use unless given.",
              "type": "array",
              "minItems": 1,
              "items": {
                "anyOf": [
                  {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 8191
                  },
                  {
                    "type": "string",
                    "pattern": "^[0-9]{1,4}-[0-9]{1,4}$"
                  }
                ],
                "x-expected": "a number of a CPU, or a range such as 2-3"
              },
              "x-expected": "a list of CPUs, such as [0, 2-3]",
              "examples": [
                [
                  0,
                  "2-3"
                ]
              ]
            },
            "environment": {
              "description": "Variables added to what the stage's processes inherit.",
              "type": "object",
              "additionalProperties": {
                "type": "string"
              },
              "propertyNames": {
                "pattern": "^[^=]+$",
                "x-expected": "the name of a variable, without ="
              },
              "x-expected": "a mapping of names to strings",
              "examples": [
                {
                  "OMP_NUM_THREADS": "1"
                }
              ]
            },
            "directory": {
              "description": "Working directory of the stage's processes, relative to the pipeline file's folder. The default is that of `ringway` itself.",
              "type": "string",
              "minLength": 1,
              "x-expected": "a path, relative to the pipeline file's folder",
              "examples": [
                "work"
              ]
            }
          },
          "required": [
            "plugin"
          ],
          "allOf": [
            {
              "if": {
                "properties": {
                  "plugin": {
                    "const": "numbers"
                  }
                },
                "required": [
                  "plugin"
                ]
              },
              "then": {
                "properties": {
                  "with": {
                    "$ref": "#/$defs/numbers"
                  }
                }
              }
            },
            {
              "if": {
                "properties": {
                  "plugin": {
                    "const": "add"
                  }
                },
                "required": [
                  "plugin"
                ]
              },
              "then": {
                "properties": {
                  "with": {
                    "$ref": "#/$defs/add"
                  }
                }
              }
            }
          ]
        },
        "parameter": {
          "type": "object",
          "description": "A value that the file uses as ${NAME}.",
          "additionalProperties": false,
          "properties": {
            "type": {
              "description": "What the value must be.",
              "type": "string",
              "enum": [
                "string",
                "integer",
                "number",
                "boolean",
                "size",
                "duration",
                "rate"
              ],
              "x-expected": "string, integer, number, boolean, size, duration or rate",
              "examples": [
                "integer"
              ]
            },
            "default": {
              "description": "The value unless it is set; without one it must be set. `${NAME}` in it stands for a variable of the environment.",
              "type": [
                "string",
                "number",
                "boolean"
              ],
              "x-expected": "a value of the parameter's type",
              "examples": [
                1000
              ]
            },
            "description": {
              "description": "What it is for.",
              "type": "string",
              "x-expected": "a string",
              "default": "",
              "examples": [
                "How many frames to take"
              ]
            },
            "secret": {
              "description": "Whether the value is kept out of every message.",
              "type": "boolean",
              "x-expected": "true or false",
              "default": false,
              "examples": [
                false
              ]
            }
          },
          "required": [
            "type"
          ]
        },
        "expansion": {
          "description": "A text with ${NAME} or ${NAME:-default}; what it becomes is checked once it has been expanded.",
          "type": "string",
          "pattern": "\\$\\{"
        },
        "numbers": {
          "type": "object",
          "description": "Makes numbers.",
          "additionalProperties": false,
          "properties": {
            "count": {
              "description": "How many.",
              "if": {
                "$ref": "#/$defs/expansion"
              },
              "else": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000,
                "x-expected": "an integer from 0 to 1000000"
              },
              "default": 10,
              "examples": [
                10
              ]
            },
            "size": {
              "description": "Of each.",
              "type": "string",
              "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$|\\$\\{",
              "x-expected": "a size from 1 B to 1 MiB with its unit, such as 64KiB or 1MB",
              "default": "1KiB",
              "examples": [
                "1KiB"
              ]
            }
          }
        },
        "add": {
          "type": "object",
          "description": "Adds a text.",
          "additionalProperties": false,
          "properties": {
            "text": {
              "description": "What to add.",
              "type": "string",
              "minLength": 1,
              "x-expected": "a string",
              "default": "x",
              "examples": [
                "x"
              ]
            },
            "fast": {
              "description": "Whether to hurry.",
              "if": {
                "$ref": "#/$defs/expansion"
              },
              "else": {
                "type": "boolean",
                "x-expected": "true or false"
              },
              "default": false,
              "examples": [
                false
              ]
            }
          }
        }
      }
    }
    """##
}
