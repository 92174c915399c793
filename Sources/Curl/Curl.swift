// Curl: libcurl's multi interface made safe: requests go in, responses come out, and pointers stay here. Retries and what
// a status means are decided by whoever uses it.

import CCurl

/// A request that posts bytes. They must stay valid and unchanged until its response has come.
package struct PostRequest {
  package var url: String
  package var body: UnsafeRawBufferPointer
  /// `Name: value`
  package var headers: [String]
  package var timeout: Duration

  package init(url: String, body: UnsafeRawBufferPointer, headers: [String], timeout: Duration) {
    self.url = url
    self.body = body
    self.headers = headers
    self.timeout = timeout
  }
}

/// What became of a request.
package struct PostResponse {
  package enum Result {
    /// The receiver has answered, with whatever status.
    case status(Int)
    /// It has not, in libcurl's words. A failed check of its certificate will fail again.
    case failed(String, isPermanent: Bool)
  }

  /// The number that was given with the request.
  package var token: Int
  package var result: Result
  /// What the receiver asked to wait (RFC 9110, section 10.2.3); nil when it did not, or not in a way that means anything.
  package var retryAfter: Duration?
  /// The first bytes of the answer, printable.
  package var excerpt: String
}

/// Many requests under way at once, on one thread, over connections that are kept.
package final class PostQueue {
  private let multi: OpaquePointer
  private var idle: [Transfer] = []
  private var running: [OpaquePointer: Transfer] = [:]
  private let userAgent: String

  /// The most of a response that is read; a longer one is cut off.
  static let longestResponse = 1 << 20

  /// What libcurl cannot be loaded for; nil when it is.
  private static let unloadable: String? = libcurl_load().map { String(cString: $0) }

  /// Loads libcurl, the first time.
  ///
  /// - Throws: `CurlError` when it is not installed, or has no memory
  package init(connections: Int, userAgent: String) throws(CurlError) {
    if let reason = Self.unloadable { throw CurlError(text: "libcurl cannot be loaded (\(reason)); install libcurl4") }
    guard libcurl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK, let multi = libcurl_multi_init() else {
      throw CurlError(text: "libcurl cannot be set up: it has no memory")
    }
    self.multi = OpaquePointer(multi)
    self.userAgent = userAgent
    libcurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connections)
    libcurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
  }

  package var count: Int { running.count }

  /// Begins a request. Never blocks.
  package func post(_ request: PostRequest, token: Int) throws(CurlError) {
    guard let transfer = idle.popLast() ?? Transfer(userAgent) else { throw CurlError(text: "libcurl has no memory") }
    transfer.prepare(request, token: token)
    guard libcurl_multi_add_handle(UnsafeMutableRawPointer(multi), UnsafeMutableRawPointer(transfer.handle)) == CURLM_OK else {
      throw CurlError(text: "libcurl does not take another request")
    }
    running[transfer.handle] = transfer
  }

  /// Goes on with everything and returns what has ended. Waits until something has, the descriptor is readable, or the time
  /// has come.
  package func advance(wake: Int32?, until deadline: ContinuousClock.Instant?) -> [PostResponse] {
    let multi = UnsafeMutableRawPointer(multi)
    while true {
      var active: Int32 = 0
      libcurl_multi_perform(multi, &active)
      let ended = collect()
      guard ended.isEmpty, let wake else { return ended }
      var timeout = 1_000_000_000
      if let deadline {
        let left = (deadline - .now).components
        if left.seconds < 0 || left.seconds == 0 && left.attoseconds <= 0 { return [] }
        timeout = Int(min(left.seconds, 86_400)) * 1000 + Int(left.attoseconds / 1_000_000_000_000_000) + 1
      }
      var extra = curl_waitfd(fd: wake, events: Int16(CURL_WAIT_POLLIN), revents: 0)
      var ready: Int32 = 0
      // It also ends when libcurl has something to do by its own clock: then we go round.
      libcurl_multi_poll(multi, &extra, 1, Int32(clamping: timeout), &ready)
      if extra.revents != 0 {
        libcurl_multi_perform(multi, &active)
        return collect()
      }
    }
  }

  private func collect() -> [PostResponse] {
    var all: [PostResponse] = []
    var left: Int32 = 0
    while let message = libcurl_multi_info_read(UnsafeMutableRawPointer(multi), &left) {
      guard message.pointee.msg == CURLMSG_DONE, let raw = message.pointee.easy_handle, let transfer = running.removeValue(forKey: OpaquePointer(raw)) else { continue }
      let result = libcurl_message_result(message)
      libcurl_multi_remove_handle(UnsafeMutableRawPointer(multi), raw)
      all.append(transfer.response(result))
      idle.append(transfer)
    }
    return all
  }

  package func close() {
    for transfer in running.values { libcurl_multi_remove_handle(UnsafeMutableRawPointer(multi), UnsafeMutableRawPointer(transfer.handle)) }
    for transfer in Array(running.values) + idle { transfer.free() }
    running = [:]
    idle = []
    libcurl_multi_cleanup(UnsafeMutableRawPointer(multi))
  }
}

package struct CurlError: Error {
  package let text: String
}

/// One handle, used again and again: it keeps its options.
private final class Transfer {
  let handle: OpaquePointer
  private var headers: UnsafeMutablePointer<curl_slist>?
  private var token = 0
  private var url = ""
  private let errorText: UnsafeMutablePointer<CChar>
  private var received = 0
  private var excerpt: [UInt8] = []

  init?(_ userAgent: String) {
    guard let raw = libcurl_easy_init() else { return nil }
    handle = OpaquePointer(raw)
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    libcurl_set_long(raw, CURLOPT_NOSIGNAL, 1)
    libcurl_set_text(raw, CURLOPT_PROTOCOLS_STR, "http,https")
    libcurl_set_long(raw, CURLOPT_FOLLOWLOCATION, 0)
    libcurl_set_long(raw, CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
    // A proxy from the environment would send the messages elsewhere than the file says.
    libcurl_set_text(raw, CURLOPT_PROXY, "")
    libcurl_set_long(raw, CURLOPT_TCP_NODELAY, 1)
    libcurl_set_long(raw, CURLOPT_TCP_KEEPALIVE, 1)
    libcurl_set_long(raw, CURLOPT_POST, 1)
    libcurl_set_long(raw, CURLOPT_SSL_VERIFYPEER, 1)
    libcurl_set_long(raw, CURLOPT_SSL_VERIFYHOST, 2)
    libcurl_set_text(raw, CURLOPT_USERAGENT, userAgent)
    libcurl_set_pointer(raw, CURLOPT_ERRORBUFFER, errorText)
    libcurl_set_writer(
      raw,
      { bytes, size, count, context in
        guard let bytes, let context else { return 0 }
        return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().take(UnsafeRawBufferPointer(start: bytes, count: size * count))
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  func prepare(_ request: PostRequest, token: Int) {
    let raw = UnsafeMutableRawPointer(handle)
    self.token = token
    received = 0
    excerpt = []
    errorText[0] = 0
    if request.url != url {
      url = request.url
      libcurl_set_text(raw, CURLOPT_URL, url)
    }
    let milliseconds = request.timeout.components.seconds * 1000 + request.timeout.components.attoseconds / 1_000_000_000_000_000
    libcurl_set_long(raw, CURLOPT_TIMEOUT_MS, Int(max(1, milliseconds)))
    libcurl_set_long(raw, CURLOPT_CONNECTTIMEOUT_MS, Int(max(1, min(milliseconds, 10_000))))
    // In place: libcurl reads the bytes where they lie (CURLOPT_POSTFIELDS(3)).
    libcurl_set_pointer(raw, CURLOPT_POSTFIELDS, request.body.isEmpty ? UnsafeRawPointer(errorText) : request.body.baseAddress)
    libcurl_set_offset(raw, CURLOPT_POSTFIELDSIZE_LARGE, Int(request.body.count))
    libcurl_slist_free_all(headers)
    headers = nil
    // An empty Expect keeps libcurl from waiting a second for leave to send a large body.
    for header in request.headers + ["Expect:"] { headers = libcurl_slist_append(headers, header) }
    libcurl_set_list(raw, CURLOPT_HTTPHEADER, headers)
  }

  private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    received += bytes.count
    if excerpt.count < 120 { excerpt += bytes.prefix(120 - excerpt.count) }
    // Anything but the count ends the transfer.
    return received > PostQueue.longestResponse ? 0 : bytes.count
  }

  func response(_ code: CURLcode) -> PostResponse {
    let raw = UnsafeMutableRawPointer(handle)
    var status = 0
    libcurl_get_long(raw, CURLINFO_RESPONSE_CODE, &status)
    var wait: curl_off_t = 0
    libcurl_get_offset(raw, CURLINFO_RETRY_AFTER, &wait)
    var result = PostResponse.Result.status(status)
    // A response that was cut off for its length has told its status all the same.
    if code != CURLE_OK, !(code == CURLE_WRITE_ERROR && received > PostQueue.longestResponse) {
      // Once a request has gone out, these two speak of what came back, and another try may bring something else: what does not begin
      // as HTTP does passes for HTTP/0.9, a protocol that is not taken, and a header beyond libcurl's limit for "Out of memory".
      var sent = 0
      libcurl_get_long(raw, CURLINFO_REQUEST_SIZE, &sent)
      switch code {
      case CURLE_UNSUPPORTED_PROTOCOL where sent > 0: result = .failed("the answer is not HTTP", isPermanent: false)
      case CURLE_OUT_OF_MEMORY where sent > 0: result = .failed("a header of the answer is too long, or memory has run out", isPermanent: false)
      default:
        let words = errorText[0] != 0 ? String(cString: errorText) : String(cString: libcurl_easy_strerror(code))
        let permanent = [CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL].contains(code)
        result = .failed(words, isPermanent: permanent)
      }
    }
    let text = String(decoding: excerpt, as: UTF8.self).unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) }
    return PostResponse(token: token, result: result, retryAfter: wait > 0 ? .seconds(Int64(wait)) : nil, excerpt: String(text))
  }

  func free() {
    libcurl_easy_cleanup(UnsafeMutableRawPointer(handle))
    libcurl_slist_free_all(headers)
    errorText.deallocate()
  }
}
