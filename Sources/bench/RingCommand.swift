import CBench
import Platform
import Rings
import Specs

/// `bench ring CONTENDER --size 64 [--producers 1 --consumers 1] [--round-trip] [--in-place] [--beside lease|nobody]
/// [--without cell|counters] [--seconds 0.3]`: one measurement, one line of JSON.
enum RingCommand {
  static func main(_ arguments: [String]) -> Never {
    let options = Options(arguments, switches: ["round-trip", "in-place"])
    do {
      try run(options)
      CurrentProcess.exit(ExitCode.success.rawValue)
    } catch let error as SystemError {
      // A system that does not allow it (a socket buffer, say) is no wrong result.
      answer([("unavailable", .string("\(error)"))])
      CurrentProcess.exit(ExitCode.success.rawValue)
    } catch {
      try? Descriptors.writeAll(2, "bench: \(error)\n")
      CurrentProcess.exit(ExitCode.invariantBroken.rawValue)
    }
  }

  private static func run(_ options: Options) throws {
    guard let name = options.words.first else { fail("ring: which contender? ringway, spsc, pipe, sockets or memcpy") }
    var promises = Handoff.Promises.all
    for what in options.all("without") {
      switch what {
      case "cell": promises.remove(.once)
      case "counters": promises.remove(.counts)
      default: fail("ring: --without takes cell or counters")
      }
    }
    let size = options.integer("size", default: 64, in: 16...(64 << 20))
    let seconds = options.seconds("seconds", default: 0.3)
    let producers = options.integer("producers", default: 1, in: 1...32)
    let consumers = options.integer("consumers", default: 1, in: 1...32)

    if options.has("round-trip") {
      let times = name == "ringway"
        ? try Crew.roundTrips(try RingEcho(size: size), seconds: seconds)
        : try Crew.roundTrips(try Channel(kind(name), size: size, isAlone: true, isRoundTrip: true), seconds: seconds)
      return answer([
        ("contender", .string(name)), ("size", .integer(size)), ("round_trips", .integer(times.count)),
        ("p50_ns", .integer(Int(times[times.count / 2]))), ("p99_ns", .integer(Int(times[times.count * 99 / 100]))),
      ])
    }

    var crew = Crew(producers: producers, consumers: consumers, warmUp: seconds / 3, seconds: seconds)
    let result: Crew.Result
    switch name {
    case "ringway":
      var ring = RingContender.Options(size: size, producers: producers, consumers: consumers, readers: consumers)
      ring.isInPlace = options.has("in-place")
      ring.promises = promises
      let beside = options.all("beside").last
      if beside != nil { ring.readers += 1 }
      let contender = try RingContender(ring)
      if let beside { crew.bystander = contender.bystander(holds: beside == "lease") }
      result = try crew.run(contender)
    case "memcpy":
      crew.producers = 0
      crew.consumers = 1
      result = try crew.run(Copying(size: size))
    default:
      let kind = kind(name)
      if kind == CBENCH_SPSC, producers + consumers > 2 { fail("the SPSC ring has one producer and one consumer") }
      if kind == CBENCH_PIPE, producers + consumers > 2, size > 4096 { fail("several writers share a pipe only up to PIPE_BUF bytes a message") }
      result = try crew.run(try Channel(kind, size: size, isAlone: producers + consumers == 2, isRoundTrip: false))
    }
    answer([
      ("contender", .string(name)), ("size", .integer(size)), ("producers", .integer(producers)), ("consumers", .integer(consumers)),
      ("rate", .number(result.rate)), ("mb_s", .number(result.rate * Double(size) / 1e6)), ("checked", .integer(Int(clamping: result.messages))),
    ])
  }

  private static func kind(_ name: String) -> cbench_kind {
    switch name {
    case "spsc": CBENCH_SPSC
    case "pipe": CBENCH_PIPE
    case "sockets": CBENCH_SOCKETS
    default: fail("there is no contender \"\(name)\"")
    }
  }
}
