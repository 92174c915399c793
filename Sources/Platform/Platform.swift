// Platform: the only Swift that calls the C library. Descriptors, mappings, futexes, processes, signals, clocks.
//
// A call that fails becomes a `SystemError` with the call, its subject and errno, read at once. What the calls are good
// for is decided elsewhere: this room knows nothing of rings, stages or plugins.
