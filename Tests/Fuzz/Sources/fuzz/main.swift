import CLibFuzzer
import Platform
import Targets

// Which target is run stands in the environment: libFuzzer starts this program again with arguments of its own when it
// merges and minimises.
let name = Machine.environment().first { $0.name == "FUZZ_TARGET" }?.value ?? ""
guard let target = Target(rawValue: name) else {
  try Descriptors.writeAll(2, "FUZZ_TARGET is one of \(Target.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(name)\"\n")
  CurrentProcess.exit(64)
}
// The callback is C's and can hold nothing.
let take = target.take
var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
CurrentProcess.exit(
  LLVMFuzzerRunDriver(&count, &arguments) { data, size in
    take(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  })
