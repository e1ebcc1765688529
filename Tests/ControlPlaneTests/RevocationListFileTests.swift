import FoundationEssentials
import StatusModel
import TLS
import Testing

@testable import ControlPlane

/// How the file of revocation lists comes, goes and goes bad; what lists mean is tested beside TLS.
@Suite struct RevocationListFileTests {
    private final class Bench {
        let folder: String
        let file: RevocationListFile
        private(set) var now: Int64 = 1_800_000_000_000_000_000

        init() throws {
            folder = try Fixture.folder()
            file = RevocationListFile(path: "\(folder)/crl.pem")
        }

        deinit { Fixture.remove(folder) }

        func write(_ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: file.path), options: .atomic)
        }

        /// Looks until the file has settled.
        func look() -> RevocationListFile.Outcome {
            for _ in 0..<10 {
                now += 1_000_000_000
                let outcome = file.check(now: now)
                if outcome != .settling { return outcome }
            }
            return .settling
        }
    }

    @Test func aMissingFileIsToldOfOnce() throws {
        let bench = try Bench()
        #expect(bench.look() == .failed)
        #expect(bench.look() == .unchanged)
        #expect(bench.file.status.error.contains("no such file"))
        try bench.write("")
        #expect(bench.look() == .loaded)
        #expect(bench.file.status.error == "")
        #expect(bench.file.status.lists == 0)
        #expect(bench.file.status.loadedAt != nil)
    }

    @Test func aDamagedFileIsNamedAndRecoversWithoutRestart() throws {
        let bench = try Bench()
        try bench.write("garbage")
        #expect(bench.look() == .failed)
        #expect(bench.file.lastError?.contains("holds no certificate revocation list") == true)
        #expect(bench.look() == .unchanged)
        try bench.write("\n")
        #expect(bench.look() == .loaded)
        #expect(bench.file.lastError == nil)
    }
}
