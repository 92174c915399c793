import Foundation
import Synchronization

/// An HTTP server whose every answer a test decides. One thread a connection; a connection that is refused, stalled or cut
/// is as easy as one that is answered.
public final class Receiver: Sendable {
  public struct Request: Sendable {
    public var path: String
    public var headers: [String: String]
    public var body: String
    public var key: String { headers["idempotency-key"] ?? "" }
  }

  public enum Answer: Sendable {
    case status(Int, headers: [String: String] = [:], body: String = "")
    /// The connection is closed without an answer.
    case cut
    /// Nothing comes back until the client gives up.
    case silence
    /// These bytes, and the end.
    case raw(String)
  }

  public let port: Int
  private let descriptor: Int32
  private let log = Mutex<[Request]>([])
  private let isClosed = Atomic<Bool>(false)

  /// - Parameter port: 0 takes any
  public init(port: Int = 0, answer: @escaping @Sendable (Request, Int) -> Answer) throws {
    let fd = try Self.listen(port)
    // Swift does not know of it: a process that is started at the same moment must not have the connection too (accept(2)).
    typealias Accept = @convention(c) (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?, Int32) -> Int32
    let accept4 = dlsym(nil, "accept4").map { unsafeBitCast($0, to: Accept.self) }
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) } }
    self.port = Int(UInt16(bigEndian: address.sin_port))
    descriptor = fd
    let thread = Thread { [self] in
      // Here, and not in `close`: a number that is free is another descriptor's at once, which this thread would take connections of.
      defer { _ = Foundation.close(fd) }
      while true {
        let client = accept4?(fd, nil, nil, Int32(SOCK_CLOEXEC.rawValue)) ?? accept(fd, nil, nil)
        if isClosed.load(ordering: .acquiring) {
          if client >= 0 { _ = Foundation.close(client) }
          return
        }
        if client < 0 { continue }
        let one = Thread { [self] in serve(client, answer) }
        one.stackSize = 256 << 10
        one.start()
      }
    }
    thread.start()
  }

  public var requests: [Request] { log.withLock { $0 } }

  public func close() {
    shutdown(descriptor, Int32(SHUT_RDWR))
    isClosed.store(true, ordering: .releasing)
  }

  private static func listen(_ port: Int) throws -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var one: Int32 = 1
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) } }
    if bound == 0, Foundation.listen(fd, 512) == 0 { return fd }
    let code = errno
    _ = Foundation.close(fd)
    throw Failure("cannot listen: \(code)")
  }

  /// A port that nobody has and that nobody else is given: the kernel chooses higher ones by itself (ip(7), ip_local_port_range), this function hands
  /// out each once, and other processes begin elsewhere.
  public static func freePort() throws -> Int {
    for _ in 0..<ports.count {
      let port = ports.lowerBound + turn.add(1, ordering: .relaxed).oldValue % ports.count
      guard let fd = try? listen(port) else { continue }
      _ = Foundation.close(fd)
      return port
    }
    throw Failure("no port is free")
  }

  private static let ports = 10_000..<32_768
  private static let turn = Atomic<Int>(Int(getpid()) * 100)

  private func serve(_ client: Int32, _ answer: @Sendable (Request, Int) -> Answer) {
    defer { _ = Foundation.close(client) }
    var data: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let end = data.firstRange(of: Array("\r\n\r\n".utf8))
      if let end {
        let head = String(decoding: data[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
          guard let colon = line.firstIndex(of: ":") else { continue }
          headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        if data.count >= end.upperBound + length {
          let body = String(decoding: data[end.upperBound..<(end.upperBound + length)], as: UTF8.self)
          data.removeFirst(end.upperBound + length)
          let request = Request(path: head[0].components(separatedBy: " ").dropFirst().first ?? "", headers: headers, body: body)
          let number = log.withLock { log in
            log.append(request)
            return log.count
          }
          switch answer(request, number) {
          case .cut: return
          case .silence:
            while read(client, &buffer, buffer.count) > 0 {}
            return
          case .raw(let text):
            send(client, text)
            return
          case .status(let status, let extra, let body):
            let lines = extra.map { "\($0.key): \($0.value)\r\n" }.joined()
            send(client, "HTTP/1.1 \(status) Status\r\n\(lines)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
          }
          continue
        }
      }
      let n = read(client, &buffer, buffer.count)
      if n <= 0 { return }
      data += buffer[..<n]
    }
  }

  private func send(_ client: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let n = bytes.withUnsafeBytes { Foundation.send(client, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL)) }
      if n <= 0 { return }
      done += n
    }
  }
}
