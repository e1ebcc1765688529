import AdminServer
import Glibc
import Telemetry
import Testing

@Suite(.timeLimit(.minutes(1))) struct LogWriterTests {
    static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(Glibc.pipe(&ends) == 0)
        return (ends[0], ends[1])
    }

    @Test func writesWhatWaitsBeforeItEnds() throws {
        let ends = try Self.pipe()
        let log = Log()
        log.write(.info, .program, "first", now: 0)
        let writer = try LogWriter(log, descriptor: ends.write)
        log.write(.info, .program, "second", now: 0)
        writer.finish()
        close(ends.write)
        var buffer = [UInt8](repeating: 0, count: 4096)
        var text = ""
        while true {
            let count = read(ends.read, &buffer, buffer.count)
            guard count > 0 else { break }
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        close(ends.read)
        #expect(text.split(separator: "\n").map { $0.split(separator: "\t")[3] } == ["first", "second"])
    }

    @Test func blockedOutputLosesLinesAndBlocksNobody() throws {
        let ends = try Self.pipe()
        let log = Log(lineLimit: 1000)
        let writer = try LogWriter(log, descriptor: ends.write)
        // Nobody reads: the pipe holds 64 KiB, the batch in hand and the queue the rest, then lines are lost.
        for number in 0..<20_000 { log.write(.info, .program, "line \(number)", now: 0) }
        #expect(log.dropped > 0)
        let before = log.dropped
        writer.finish(withinSeconds: 0)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var text = ""
        while !text.contains("lines were lost") {
            let count = read(ends.read, &buffer, buffer.count)
            try #require(count > 0)
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
            log.write(.info, .program, "after", now: 0)
            writer.finish(withinSeconds: 0)
        }
        #expect(before > 0)
        close(ends.read)
    }

    @Test func closedOutputIsCounted() throws {
        signal(SIGPIPE, SIG_IGN)
        let ends = try Self.pipe()
        close(ends.read)
        let log = Log()
        let writer = try LogWriter(log, descriptor: ends.write)
        log.write(.info, .program, "to nobody", now: 0)
        writer.finish()
        close(ends.write)
        #expect(log.dropped == 1)
    }
}
