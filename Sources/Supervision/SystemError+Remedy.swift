import Platform

extension SystemError {
  /// What to do where the machine gives no more; empty for other errors.
  var remedy: String {
    switch errno {
    // EAGAIN
    case 11: " (no more processes are allowed: use fewer, or raise `ulimit -u` or the limit of the container)"
    // ENOMEM
    case 12: " (there is no memory left: use fewer processes or smaller queues, or end what takes it)"
    // ENFILE, EMFILE
    case 23, 24: " (no more descriptors are allowed: use fewer processes, or raise `ulimit -n`)"
    default: ""
    }
  }
}
