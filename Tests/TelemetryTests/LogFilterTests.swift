import Telemetry
import Testing

@Suite struct LogFilterTests {
    @Test(arguments: [
        ("info", LogLevel.info, LogLevel.info),
        ("info,access=off", .off, .info),
        ("access=off,debug", .debug, .debug),
        ("warn, proxy=trace", .warn, .trace),
        ("ztunnel::proxy:debug", .info, .debug),
        ("hickory_server::server=off,info", .info, .info),
        ("WARNING", .warn, .warn),
    ])
    func reads(text: String, access: LogLevel, proxy: LogLevel) throws {
        let filter = try LogFilter(text)
        #expect(filter.level(of: .access) == access)
        #expect(filter.level(of: .proxy) == proxy)
    }

    @Test(arguments: ["", "loud", "access=", "=info", "info,,warn", "access=loud", "a b=info", "x\u{1b}[31m=info"])
    func refuses(text: String) {
        let failure = #expect(throws: LogFilter.Failure.self) { try LogFilter(text) }
        #expect(failure?.description.contains("\u{1b}") == false)
        #expect(failure?.description.contains("info,access=off") == true)
    }

    @Test func laterClauseReplacesEarlier() throws {
        var filter = try LogFilter("info,access=off")
        try filter.append("access=debug")
        #expect("\(filter)" == "info,access=debug")
        try filter.append("error")
        #expect("\(filter)" == "error")
    }

    @Test func refusedChangeLeavesFilterAlone() throws {
        let log = Log(filter: try LogFilter("info,access=off"))
        #expect(throws: LogFilter.Failure.self) { try log.changeFilter(appending: "debug,x=y", reset: true) }
        #expect("\(log.filter)" == "info,access=off")
        #expect(!log.isEnabled(.error, .access))
        _ = try log.changeFilter(appending: "access=debug", reset: false)
        #expect(log.isEnabled(.debug, .access))
        #expect(!log.isEnabled(.debug, .proxy))
        let back = try log.changeFilter(appending: nil, reset: true)
        #expect("\(back)" == "info,access=off")
        #expect(!log.isEnabled(.error, .access))
    }

    @Test func endlessClausesAreRefused() throws {
        var filter = LogFilter()
        #expect(throws: LogFilter.Failure.self) {
            for number in 0..<1000 { try filter.append("scope\(number)=info") }
        }
    }
}
