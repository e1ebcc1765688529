import FoundationEssentials
import TLS
import Testing

@testable import ControlPlane

@Suite struct FileWatchTests {
    /// Two versions of a real file: there is no other way to make one.
    private static func versions() throws -> (FileVersion, FileVersion) {
        let folder = try Fixture.folder()
        defer { Fixture.remove(folder) }
        try Data("a".utf8).write(to: URL(filePath: "\(folder)/a"))
        try Data("bb".utf8).write(to: URL(filePath: "\(folder)/b"))
        return (
            try #require(FileVersion(path: "\(folder)/a")), try #require(FileVersion(path: "\(folder)/b"))
        )
    }

    @Test func theFirstVersionIsReadAtOnce() throws {
        let (a, _) = try Self.versions()
        var watch = FileWatch()
        #expect(watch.onLook(nil) == .missing)
        #expect(watch.onLook(a) == .read)
        watch.onRead(a, now: a.changed + 1_000_000_000)
        #expect(watch.onLook(a) == .wait)
    }

    @Test func aChangeIsReadWhenItHasSettled() throws {
        let (a, b) = try Self.versions()
        var watch = FileWatch()
        watch.onRead(a, now: a.changed + 1_000_000_000)
        #expect(watch.onLook(b) == .settle)
        #expect(watch.onLook(a) == .wait)
        #expect(watch.onLook(b) == .settle)
        #expect(watch.onLook(b) == .read)
        watch.onRead(b, now: b.changed + 1_000_000_000)
        #expect(watch.onLook(b) == .wait)
    }

    @Test func aFileReadInTheTickOfItsChangeIsReadOnceMore() throws {
        let (a, _) = try Self.versions()
        var watch = FileWatch()
        watch.onRead(a, now: a.changed + 1_000_000)
        #expect(watch.onLook(a) == .read)
        watch.onRead(a, now: a.changed + 2_000_000)
        #expect(watch.onLook(a) == .wait)
    }

    @Test func aVanishedFileIsNotPending() throws {
        let (a, b) = try Self.versions()
        var watch = FileWatch()
        watch.onRead(a, now: a.changed + 1_000_000_000)
        #expect(watch.onLook(b) == .settle)
        #expect(watch.onLook(nil) == .missing)
        #expect(watch.onLook(b) == .settle)
    }
}
