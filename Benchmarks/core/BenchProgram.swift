import EventLoop
import Glibc
import TLS

/// `ztun-bench`: operations of the data path and of the control plane, one at a time, in one thread.
///
///     ztun-bench list                    every case and what one operation of it is
///     ztun-bench count [CASE...]         runs each case for callgrind (Benchmarks/core/gate.py starts it so)
///     ztun-bench time [CASE...]          nanoseconds per operation, and exit status 1 where one is over its limit
///     ztun-bench load WORKLOADS POLICIES      time and memory of a state file of that size, and of one change in it
///     ztun-bench tunnels COUNT libssl|own     memory of idle tunnels, both ends
///     ztun-bench state WORKLOADS POLICIES CHANGED|none FILE    writes such a file
@main
struct BenchProgram {
    static let entries: [BenchEntry] =
        TunnelCase.entries + TunnelCase.ownEntries + RoutingCase.entries + NetworkPolicyCase.entries
        + ParserCase.entries + ScaleCase.entries + ReloadCase.entries

    static func main() throws {
        Kernel.ignoreBrokenPipes()
        var arguments = CommandLine.arguments.dropFirst()
        let command = arguments.popFirst() ?? "list"
        let numbers = arguments.map { Int($0) }
        if command == "load", numbers.count == 2, let workloads = numbers[0], let policies = numbers[1] {
            return try StateLoad.run(workloads: workloads, policies: policies)
        }
        if command == "tunnels", numbers.count == 2, let count = numbers[0], count > 0,
            let records = TLSRecords(rawValue: Array(arguments)[1])
        {
            return try TunnelMemory.run(tunnels: count, records: records)
        }
        if command == "state", numbers.count == 4, let workloads = numbers[0], let policies = numbers[1] {
            return try StateLoad.write(
                workloads: workloads, policies: policies, changed: numbers[2], path: Array(arguments)[3])
        }
        let unknown = arguments.filter { name in !entries.contains { $0.name == name } }
        guard unknown.isEmpty else { return usage("no such case: \(unknown.joined(separator: ", "))") }
        let chosen = entries.filter { arguments.isEmpty || arguments.contains($0.name) }
        switch command {
        case "list": for entry in chosen { print("\(entry.name)\t\(entry.operation)") }
        case "count": try count(chosen.filter { !$0.isLarge || arguments.contains($0.name) })
        case "time": try time(chosen)
        default: usage("no such command: \(command)")
        }
    }

    private static func usage(_ problem: String) {
        let text =
            "ztun-bench: \(problem)\nusage: ztun-bench list | count [CASE...] | time [CASE...] | load WORKLOADS POLICIES"
            + " | tunnels COUNT libssl|own\n"
        _ = text.withCString { write(2, $0, strlen($0)) }
        exit(2)
    }

    /// One line per case, in the order of callgrind's dumps: name and operations.
    private static func count(_ entries: [BenchEntry]) throws {
        for entry in entries {
            let made = try entry.make()
            // What is made once (lazy globals, grown arrays, cached contexts) is not the operation's.
            made.run(max(2, entry.counted / 10))
            measured(made, entry.counted)
            print("\(entry.name) \(entry.counted)")
        }
    }

    private static func time(_ entries: [BenchEntry]) throws {
        var slow = 0
        for entry in entries {
            let made = try entry.make()
            var operations = max(1, entry.counted / 10)
            made.run(operations)
            var best = Double.infinity
            for _ in 0..<3 {
                var spent = UInt64(0)
                repeat {
                    let start = Kernel.monotonicNow()
                    measured(made, operations)
                    spent = Kernel.monotonicNow() - start
                    if spent < 50_000_000 { operations *= 2 }
                } while spent < 50_000_000
                best = min(best, Double(spent) / Double(operations))
            }
            var line = "\(entry.name) \(Int(best)) ns"
            if let limit = entry.nativeLimit {
                line += ", limit \(Int(limit)) ns"
                if best > limit {
                    line += ": TOO SLOW"
                    slow += 1
                }
            }
            print(line)
        }
        if slow > 0 { exit(1) }
    }
}

/// The function that callgrind counts: it zeroes its counters on entry and writes them down on return.
@_silgen_name("zt_bench_measured")
@inline(never)
func measured(_ subject: any BenchCase, _ operations: Int) {
    subject.run(operations)
}
