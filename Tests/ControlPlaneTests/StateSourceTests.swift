import FoundationEssentials
import MeshModel
import StatusModel
import Telemetry
import Testing

@testable import ControlPlane

@Suite struct StateSourceTests {
    private static func text(_ names: String...) -> Data {
        Data(
            ("workloads:\n"
                + names.map { "- {name: \($0), namespace: n, workloadIps: [10.0.0.1], services: {}}\n" }.joined()).utf8)
    }

    /// A source on a scratch file, with what it delivered.
    private final class Bench: Sendable {
        let folder: String
        let path: String
        let delivered = Lock<[(names: [String], generation: UInt64)]>([])
        let source: StateSource

        init() throws {
            folder = try Fixture.folder()
            path = "\(folder)/state.yaml"
            let delivered = delivered
            source = StateSource(path: path, trustDomain: "cluster.local") { state, generation in
                delivered.withLock { $0.append((state.workloads.map(\.fields.name), generation)) }
            }
        }

        deinit { Fixture.remove(folder) }

        func write(_ data: Data, atomically: Bool = true) throws {
            try data.write(to: URL(filePath: path), options: atomically ? .atomic : [])
        }

        var names: [[String]] { delivered.withLock { $0.map(\.names) } }
    }

    private let later: Int64 = 4_000_000_000_000_000_000

    @Test func loadsAndReloads() throws {
        let bench = try Bench()
        try bench.write(Self.text("a"))
        #expect(bench.source.check(now: later) == .loaded)
        #expect(bench.source.check(now: later) == .unchanged)
        try bench.write(Self.text("a", "b"))
        #expect(bench.source.check(now: later) == .settling)
        #expect(bench.source.check(now: later + 5_000_000_000) == .loaded)
        #expect(bench.names == [["a"], ["a", "b"]])
        let status = bench.source.status(now: later + 7_000_000_000)
        #expect((status.generation, status.workloads, status.ageSeconds, status.lastError) == (2, 2, 2, ""))
        #expect(status.source == bench.path)
    }

    @Test func aBrokenEditKeepsTheLastGoodState() throws {
        let bench = try Bench()
        try bench.write(Self.text("a"))
        bench.source.check(now: later)
        try bench.write(Data("workloads: []\n\nworklods: []\n".utf8))
        bench.source.check(now: later)
        #expect(bench.source.check(now: later) == .failed)
        var status = bench.source.status(now: later)
        #expect(
            status.lastError
                == "\(bench.path): unknown key 'worklods' at line 3, column 1; did you mean 'workloads'?")
        #expect((status.generation, status.workloads) == (1, 1))
        #expect(bench.source.check(now: later) == .unchanged)
        #expect(bench.source.status(now: later).lastError == status.lastError)
        try bench.write(Self.text("a", "c"))
        bench.source.check(now: later)
        #expect(bench.source.check(now: later) == .loaded)
        status = bench.source.status(now: later)
        #expect((status.generation, status.workloads, status.lastError) == (2, 2, ""))
        #expect(bench.names == [["a"], ["a", "c"]])
    }

    @Test func goingBackToTheGoodTextClearsTheError() throws {
        let bench = try Bench()
        try bench.write(Self.text("a"))
        bench.source.check(now: later)
        try bench.write(Data("x".utf8))
        bench.source.check(now: later)
        #expect(bench.source.check(now: later) == .failed)
        try bench.write(Self.text("a"))
        bench.source.check(now: later)
        bench.source.check(now: later)
        #expect(bench.source.status(now: later).lastError == "")
    }

    @Test func anEmptiedFileIsAFault() throws {
        let bench = try Bench()
        try bench.write(Self.text("a"))
        bench.source.check(now: later)
        try bench.write(Data(), atomically: false)
        bench.source.check(now: later)
        #expect(bench.source.check(now: later) == .failed)
        #expect(bench.source.status(now: later).lastError == "\(bench.path): the file is empty")
        #expect(bench.names == [["a"]])
    }

    @Test func aMissingFileIsWaitedFor() throws {
        let bench = try Bench()
        #expect(bench.source.check(now: later) == .failed)
        #expect(bench.source.status(now: later).lastError.contains("no such file"))
        #expect(bench.source.status(now: later).generation == 0)
        try bench.write(Self.text("a"))
        #expect(bench.source.check(now: later) == .loaded)
        try FileManager.default.removeItem(atPath: bench.path)
        #expect(bench.source.check(now: later) == .failed)
        #expect(bench.source.status(now: later).workloads == 1)
        try bench.write(Self.text("a"))
        bench.source.check(now: later)
        bench.source.check(now: later)
        #expect(bench.source.status(now: later).lastError == "")
        #expect(bench.names == [["a"]])
    }

    @Test func aFileThatComesBackUnchangedClearsTheError() throws {
        let bench = try Bench()
        let files = FileManager.default
        try files.createDirectory(atPath: "\(bench.folder)/v1", withIntermediateDirectories: false)
        try Self.text("a").write(to: URL(filePath: "\(bench.folder)/v1/state.yaml"))
        try files.createSymbolicLink(atPath: bench.path, withDestinationPath: "v1/state.yaml")
        #expect(bench.source.check(now: later) == .loaded)
        try files.moveItem(atPath: "\(bench.folder)/v1", toPath: "\(bench.folder)/away")
        #expect(bench.source.check(now: later) == .failed)
        try files.moveItem(atPath: "\(bench.folder)/away", toPath: "\(bench.folder)/v1")
        #expect(bench.source.check(now: later) == .unchanged)
        #expect(bench.source.status(now: later).lastError == "")
    }

    @Test func aSwappedSymbolicLinkIsAChange() throws {
        // The way Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a dated folder, ..data is renamed over.
        let bench = try Bench()
        let files = FileManager.default
        for (folder, text) in [("v1", Self.text("a")), ("v2", Self.text("b"))] {
            try files.createDirectory(atPath: "\(bench.folder)/\(folder)", withIntermediateDirectories: false)
            try text.write(to: URL(filePath: "\(bench.folder)/\(folder)/state.yaml"))
        }
        try files.createSymbolicLink(atPath: "\(bench.folder)/..data", withDestinationPath: "v1")
        try files.createSymbolicLink(atPath: bench.path, withDestinationPath: "..data/state.yaml")
        #expect(bench.source.check(now: later) == .loaded)
        try files.removeItem(atPath: "\(bench.folder)/..data")
        try files.createSymbolicLink(atPath: "\(bench.folder)/..data", withDestinationPath: "v2")
        #expect(bench.source.check(now: later) == .settling)
        #expect(bench.source.check(now: later) == .loaded)
        #expect(bench.names == [["a"], ["b"]])
    }

    @Test func aFolderIsNoStateFile() throws {
        let bench = try Bench()
        try FileManager.default.createDirectory(atPath: bench.path, withIntermediateDirectories: false)
        #expect(bench.source.check(now: later) == .failed)
        #expect(bench.source.status(now: later).lastError == "\(bench.path) is not a regular file")
    }

    @Test func aControlThreadReloads() throws {
        let bench = try Bench()
        try bench.write(Self.text("a"))
        let rounds = Lock(0)
        let thread = try ControlThread(name: "zt-test", interval: 5) { _ in
            bench.source.check(now: 0)
            rounds.withLock { $0 += 1 }
            return nil
        }
        func wait(for names: [[String]]) {
            let deadline = ContinuousClock.now + .seconds(10)
            while bench.names != names, ContinuousClock.now < deadline { thread.wake() }
            #expect(bench.names == names)
        }
        wait(for: [["a"]])
        try bench.write(Self.text("b"))
        wait(for: [["a"], ["b"]])
        thread.stop()
        let count = rounds.withLock { $0 }
        thread.stop()
        #expect(rounds.withLock { $0 } == count)
    }
}
