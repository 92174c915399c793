import CCrypto
import PluginKit

/// Replaces a message by its SHA-256, as often over as it is told: a computation that needs a CPU.
struct Hash: Transform {
  private static let rounds = Setting.integer(
    "rounds", "How often to hash; each round hashes the 32 bytes of the one before.", in: 1...1_000_000_000, default: 1)

  static let spec = PluginSpec(
    "hash", .transform, "Replaces a message by its SHA-256.",
    details: "The result is 64 hexadecimal digits in lower case. The first round hashes the message, every other one the 32 raw bytes of the round before.",
    settings: [rounds.declaration],
    example: """
      ringway: 1
      stages:
        numbers:
          plugin: generate
          with: {count: 1000}
        digest:
          plugin: hash
          inputs: [numbers]
          processes: auto
          with: {rounds: 1000}
        results:
          plugin: stdout
          inputs: [digest]
      """)

  private let rounds: Int
  private let context: OpaquePointer
  private let algorithm: OpaquePointer
  private var digest = [UInt8](repeating: 0, count: 32)

  init(_ given: Given, _ context: Context) throws {
    rounds = given[Self.rounds]
    // Fetched once: an implicit fetch in each round would cost more than the hash (EVP_MD_fetch(3)).
    guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil), let digest = EVP_MD_CTX_new() else {
      throw WorkerFailure(.system, "libcrypto has no SHA-256")
    }
    self.algorithm = algorithm
    self.context = digest
  }

  mutating func process(_ message: Message, _ out: any Emitter) throws {
    try hash(message.payload)
    for _ in 1..<max(1, rounds) { try digest.withUnsafeBytes { try hash($0) } }
    let target = try out.reserve(64)
    for (i, byte) in digest.enumerated() {
      target[2 * i] = Self.digit(byte >> 4)
      target[2 * i + 1] = Self.digit(byte & 15)
    }
    try out.emitReserved(64, as: .text)
  }

  private mutating func hash(_ bytes: UnsafeRawBufferPointer) throws {
    var result = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    let done = withUnsafeMutableBytes(of: &result) { target in
      EVP_DigestInit_ex2(context, algorithm, nil) == 1 && EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1
        && EVP_DigestFinal_ex(context, target.baseAddress, nil) == 1
    }
    guard done else { throw WorkerFailure(.system, "libcrypto could not hash a message") }
    withUnsafeBytes(of: &result) { source in digest.withUnsafeMutableBytes { $0.copyMemory(from: source) } }
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value }

  mutating func close() throws {
    EVP_MD_CTX_free(context)
    EVP_MD_free(algorithm)
  }
}
