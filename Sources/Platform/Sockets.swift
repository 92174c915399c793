import Glibc

/// Listening sockets.
package enum Sockets {
  /// `host:port`, `[ipv6]:port`; nil when the text is no address.
  package static func parse(_ address: String) -> (host: String, port: String)? {
    guard let colon = address.lastIndex(of: ":") else { return nil }
    var host = String(address[..<colon])
    let port = String(address[address.index(after: colon)...])
    guard UInt16(port) != nil else { return nil }
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) } else if host.contains(":") { return nil }
    return host.isEmpty ? nil : (host, port)
  }

  /// Binds and listens on `host:port`.
  package static func listen(_ address: String) throws(SystemError) -> Int32 {
    guard let (host, port) = parse(address) else { throw SystemError("bind", address, errno: EINVAL) }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, port, &hints, &list) == 0 else { throw SystemError("bind", address, errno: EADDRNOTAVAIL) }
    defer { freeaddrinfo(list) }
    var failure = SystemError("bind", address, errno: EADDRNOTAVAIL)
    var next = list
    while let info = next?.pointee {
      next = info.ai_next
      let fd = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
      if fd < 0 {
        failure = SystemError("socket", address)
        continue
      }
      var one: Int32 = 1
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
      if bind(fd, info.ai_addr, info.ai_addrlen) == 0, Glibc.listen(fd, 1024) == 0 { return fd }
      failure = SystemError("bind", address)
      close(fd)
    }
    throw failure
  }
}
