import FoundationEssentials
import Glibc
import Telemetry
import Testing

@testable import ControlPlane

/// What the kernel's notice is about: every way in which people and programs change a file.
@Suite struct FolderWatchTests {
    /// A folder with a file that is followed.
    private final class Bench {
        let folder: String
        let path: String
        let watch: FolderWatch

        init(_ name: String = "state.yaml") throws {
            folder = try Fixture.folder()
            path = "\(folder)/\(name)"
            watch = try FolderWatch()
        }

        deinit { Fixture.remove(folder) }

        func write(_ name: String, _ text: String = "a", atomically: Bool = false) throws {
            try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"), options: atomically ? .atomic : [])
        }

        /// Follows the file, then says whether the change is noticed.
        func notices(_ change: () throws -> Void) rethrows -> Bool {
            watch.follow([path])
            _ = watch.take()
            try change()
            return watch.take()
        }

        func link(_ name: String, to target: String) {
            #expect(symlink(target, "\(folder)/\(name)") == 0)
        }

        func move(_ from: String, _ to: String) {
            #expect(rename("\(folder)/\(from)", "\(folder)/\(to)") == 0)
        }

        func makeFolder(_ name: String) {
            #expect(mkdir("\(folder)/\(name)", 0o755) == 0)
        }
    }

    @Test func aFileWrittenReplacedRemovedOrMadeIsNoticed() throws {
        let bench = try Bench()
        #expect(try bench.notices { try bench.write("state.yaml") })
        #expect(try bench.notices { try bench.write("state.yaml", "in place") })
        #expect(try bench.notices { try bench.write("state.yaml", "renamed", atomically: true) })
        #expect(bench.notices { unlink(bench.path) })
        #expect(bench.notices { bench.link("state.yaml", to: "elsewhere") })
    }

    @Test func neighboursAreNotNoticed() throws {
        let bench = try Bench()
        try bench.write("state.yaml")
        #expect(
            try !bench.notices {
                try bench.write("log.txt")
                try bench.write("state.yaml.bak", atomically: true)
            })
    }

    /// `file -> ..data/file`, `..data -> ..1`: an update makes `..2` and swaps `..data` by a rename.
    @Test func theSwapOfKubernetesIsNoticed() throws {
        let bench = try Bench()
        bench.makeFolder("..1")
        try bench.write("..1/state.yaml")
        bench.link("..data", to: "..1")
        bench.link("state.yaml", to: "..data/state.yaml")
        for turn in 2...4 {
            #expect(
                try bench.notices {
                    bench.makeFolder("..\(turn)")
                    try bench.write("..\(turn)/state.yaml", "\(turn)")
                    bench.link("..tmp", to: "..\(turn)")
                    bench.move("..tmp", "..data")
                })
        }
        // The file behind the links is followed too.
        #expect(try bench.notices { try bench.write("..4/state.yaml", "in place") })
        #expect(try !bench.notices { try bench.write("..1/state.yaml", "of old") })
    }

    @Test func aMissingFolderIsAwaited() throws {
        let bench = try Bench("a/b/state.yaml")
        #expect(bench.notices { bench.makeFolder("a") })
        #expect(bench.notices { bench.makeFolder("a/b") })
        #expect(try bench.notices { try bench.write("a/b/state.yaml") })
        // It goes away and comes back with another one in it.
        #expect(bench.notices { bench.move("a/b", "a/c") })
        #expect(bench.notices { bench.makeFolder("a/b") })
        #expect(try !bench.notices { try bench.write("a/c/state.yaml", "of old") })
        #expect(try bench.notices { try bench.write("a/b/state.yaml") })
    }

    @Test func aLinkInACircleEndsTheSearch() throws {
        let bench = try Bench()
        bench.link("state.yaml", to: "other")
        bench.link("other", to: "state.yaml")
        #expect(FolderWatch.places(of: bench.path).count < 64)
        #expect(bench.notices { unlink(bench.path) })
    }

    @Test func whatHappenedBetweenRoundsIsNotLost() throws {
        let bench = try Bench()
        let rounds = Lock<[Bool]>([])
        let path = bench.path
        let watch = bench.watch
        let thread = try ControlThread(name: "test", interval: 60_000, watch: watch) { isNoticed in
            watch.follow([path])
            rounds.withLock { $0.append(isNoticed) }
            return nil
        }
        defer { thread.stop() }
        func wait(for count: Int) -> [Bool] {
            for _ in 0..<2000 where rounds.withLock({ $0.count }) < count { usleep(5000) }
            return rounds.withLock { $0 }
        }
        #expect(wait(for: 1) == [false])
        try bench.write("neighbour")
        try bench.write("state.yaml", atomically: true)
        #expect(wait(for: 2).prefix(2) == [false, true])
    }
}
