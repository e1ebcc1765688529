import ControlPlane
import EventLoop
import Glibc
import MeshModel

/// A state file as the daemon takes it: read, decoded, made into a snapshot; again after one workload has changed.
final class StateLoad {
    private var snapshot = MeshSnapshot.empty
    private var applied = UInt64(0)

    /// Loads a made-up state of that size, then once more with one workload changed, and prints a JSON line for each.
    static func run(workloads: Int, policies: Int) throws {
        var template = Array("/tmp/ztun-bench-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw BenchFailure("mkstemp: \(String(cString: strerror(errno)))") }
        close(descriptor)
        let path = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
        defer { unlink(path) }
        // In a process of its own: making the text takes as much memory as reading it.
        guard fork(writing: path, workloads: workloads, policies: policies, changed: nil) else {
            throw BenchFailure("the state file could not be written")
        }
        let load = StateLoad()
        let changes = Lines()
        let source = StateSource(path: path, trustDomain: "cluster.local") { state, _ in
            changes.state = state
        }
        load.take(source, changes, "load")
        guard fork(writing: path, workloads: workloads, policies: policies, changed: workloads / 2) else {
            throw BenchFailure("the state file could not be written")
        }
        load.take(source, changes, "change-one")
    }

    /// Where the source leaves what it has read.
    private final class Lines: @unchecked Sendable {
        var state = LocalState()
    }

    private func take(_ source: StateSource, _ lines: Lines, _ step: String) {
        let start = Kernel.monotonicNow()
        let startClock = clock()
        // The file must have been still for a moment before it is read.
        while source.check(now: Int64(Kernel.realtimeNow())) != .loaded { Kernel.pause(milliseconds: 5) }
        let read = Kernel.monotonicNow()
        let readClock = clock()
        snapshot = lines.state.next(after: snapshot)
        lines.state = LocalState()
        let done = Kernel.monotonicNow()
        let doneClock = clock()
        let peak = Self.memory("VmHWM")
        Kernel.returnFreeMemory()
        print(
            "{\"step\": \"\(step)\", \"workloads\": \(snapshot.workloadCount), "
                + "\"policies\": \(snapshot.policyCount), \"read_ms\": \((read - start) / 1_000_000), "
                + "\"apply_ms\": \((done - read) / 1_000_000), "
                + "\"read_cpu_us\": \(readClock - startClock), \"apply_cpu_us\": \(doneClock - readClock), \"peak_mib\": \(peak / 1024), "
                + "\"resident_mib\": \(Self.memory("VmRSS") / 1024)}")
    }

    private static func fork(writing path: String, workloads: Int, policies: Int, changed: Int?) -> Bool {
        let arguments = [
            CommandLine.arguments[0], "state", "\(workloads)", "\(policies)", changed.map { "\($0)" } ?? "none", path,
        ]
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var child: pid_t = 0
        guard posix_spawn(&child, "/proc/self/exe", nil, nil, &pointers, environ) == 0 else { return false }
        var status: Int32 = 0
        return waitpid(child, &status, 0) == child && status == 0
    }

    /// Writes the state file of that size; of the changed workload another revision.
    static func write(workloads: Int, policies: Int, changed: Int?, path: String) throws {
        let bytes = MeshFixture.stateFile(workloads: workloads, policies: policies, changed: changed)
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard file >= 0 else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
            written += count
        }
    }

    /// A figure of /proc/self/status, in KiB.
    private static func memory(_ name: String) -> Int {
        let file = open("/proc/self/status", O_RDONLY)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = max(0, read(file, &bytes, bytes.count))
        for line in bytes[..<count].split(separator: 10) {
            let words = line.split { $0 == 32 || $0 == 9 || $0 == 58 }.map { String(decoding: $0, as: UTF8.self) }
            if words.first == name, words.count > 1 { return Int(words[1]) ?? 0 }
        }
        return 0
    }
}
