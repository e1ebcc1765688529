import AdminServer
import Glibc
import MeshModel
import StatusModel
import Telemetry
import Testing

@Suite(.timeLimit(.minutes(1))) struct AdminServerTests {
    let source: FakeSource
    let log = Log()
    let server: AdminServer
    let path: String

    init() throws {
        path = "/tmp/zt-admin-\(getpid())-\(UInt32.random(in: 0 ... .max))/run/ztund.sock"
        source = FakeSource()
        let any = SocketAddress(.loopbackV4, 0)
        server = try AdminServer(
            AdminAddresses(admin: any, metrics: any, readiness: any, controlSocket: path), source: source, log: log)
    }

    func metricsPort() throws -> UInt16 { try #require(server.addresses.metrics).port }
    func readinessPort() throws -> UInt16 { try #require(server.addresses.readiness).port }
    func adminPort() throws -> UInt16 { try #require(server.addresses.admin).port }

    func finish() {
        server.stop()
        #expect(access(path, F_OK) != 0, "the socket is gone")
        unlink("\(path).lock")
        rmdir(path.replacing("/ztund.sock", with: ""))
        rmdir(path.replacing("/run/ztund.sock", with: ""))
    }

    @Test func servesMetrics() throws {
        defer { finish() }
        let text = try #require(Client.get(try metricsPort(), "/metrics"))
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("content-type: text/plain; version=0.0.4"))
        #expect(text.contains("# TYPE istio_tcp_connections_opened_total counter\n"))
        #expect(
            text.contains("\nistio_tcp_connections_opened_total{reporter=\"destination\",source_workload=\"unknown\","))
        #expect(text.contains("response_flags=\"DENY\",connection_security_policy=\"unknown\""))
        #expect(text.contains("\nztun_refusals_total{reason=\"policy_denied\",direction=\"inbound\"} 2\n"))
        #expect(text.contains("\nworkload_manager_proxies_started_total 3\n"))
        #expect(text.contains("\nistio_tcp_sockets_open{reporter=\"destination\"} 2\n"))
        let open = try #require(
            Client.get(try metricsPort(), "/stats/prometheus", fields: "Accept: application/openmetrics-text\r\n"))
        #expect(open.contains("content-type: application/openmetrics-text;charset=utf-8;version=1.0.0\r\n"))
        #expect(open.contains("# TYPE istio_tcp_connections_opened counter\n"))
        #expect(open.hasSuffix("# EOF\n"))
    }

    @Test func servesReadiness() throws {
        defer { finish() }
        #expect(Client.get(try readinessPort(), "/healthz/ready")?.hasSuffix("\r\n\r\nready\n") == true)
        source.pending.withLock { $0 = ["workload proxy manager", "proxy"] }
        let text = try #require(Client.get(try readinessPort(), "/healthz/ready"))
        #expect(text.hasPrefix("HTTP/1.1 500 "))
        #expect(text.hasSuffix("\r\n\r\nnot ready, pending: proxy, workload proxy manager\n"))
    }

    @Test func changesTheLogFilter() throws {
        defer { finish() }
        let port = try adminPort()
        #expect(Client.get(port, "/logging", method: "POST")?.hasSuffix("current log level is info\n") == true)
        let changed = Client.get(port, "/logging?level=access=off,proxy:debug", method: "POST")
        #expect(changed?.hasSuffix("current log level is access=off,proxy=debug\n") == true)
        #expect(!log.isEnabled(.error, .access) && log.isEnabled(.debug, .proxy))
        let wrong = try #require(Client.get(port, "/logging?level=loud", method: "POST"))
        #expect(wrong.hasPrefix("HTTP/1.1 400 ") && wrong.contains("Invalid level provided: "))
        #expect(Client.get(port, "/logging?reset", method: "POST")?.hasSuffix("level is info\n") == true)
        #expect(Client.get(port, "/quitquitquit", method: "POST")?.hasSuffix("shutdown now\n") == true)
        #expect(source.stopped.withLock { $0 })
    }

    @Test func servesTheConfigurationDump() throws {
        defer { finish() }
        for _ in 0..<5 {
            let text = try #require(Client.get(try adminPort(), "/config_dump"))
            #expect(text.contains("content-type: application/json\r\n"))
            #expect(text.contains("\n  \"config\": {\n") && text.hasSuffix("\n  }\n}\n"))
        }
    }

    @Test(arguments: [false, true])
    func servesListsOverTheSocket(oneHangs: Bool) throws {
        defer { finish() }
        source.hangs.withLock { $0 = oneHangs }
        let client = try #require(Client(path: path))
        client.send("GET /denials?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let answer = try #require(client.readAll())
        #expect(answer.hasPrefix("HTTP/1.1 200 OK"))
        #expect(answer.contains("\"matching\": \(oneHangs ? 1 : 2),"))
        #expect(answer.contains("\"silentWorkers\": 1,") == oneHangs)
        #expect(answer.contains("\"reason\": \"policy_denied\""))
    }

    @Test func servesStatusAndPodsOverTheSocket() throws {
        defer { finish() }
        let client = try #require(Client(path: path))
        client.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        let status = try #require(client.read(until: "\n}\n"))
        #expect(status.contains("\"program\" : \"ztund\""))
        #expect(status.contains("\"connectionsOpened\" : 4"))
        #expect(status.contains("\"logFilter\" : \"info\""))
        // Two requests in one packet on a connection that stays: answered in order.
        let body = #"{"namespace":"app","name":"web","netns":"/run/netns/web"}"#
        let post = "POST /pods HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        client.send(post + "DELETE /pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        let answers = try #require(client.readAll())
        #expect(answers.contains("\"message\" : \"added app/web@/run/netns/web\""))
        #expect(answers.contains("HTTP/1.1 400 Bad Request"))
        #expect(source.pods.withLock { $0 } == [PodRequest(namespace: "app", name: "web", netns: "/run/netns/web")])
    }

    @Test func socketIsForRootAlone() throws {
        defer { finish() }
        var information = stat()
        #expect(stat(path, &information) == 0)
        #expect(information.st_mode & 0o777 == 0o600)
    }

    @Test func hungWorkerIsReportedWithItsLastFigures() throws {
        defer { finish() }
        _ = try #require(Client.get(try metricsPort(), "/metrics"))
        source.hangs.withLock { $0 = true }
        let text = try #require(Client.get(try metricsPort(), "/metrics"))
        #expect(text.contains("\nztun_worker_answering{worker=\"0\"} 1\n"))
        #expect(text.contains("\nztun_worker_answering{worker=\"1\"} 0\n"))
        #expect(text.contains("\nztun_refusals_total{reason=\"policy_denied\",direction=\"inbound\"} 2\n"))
        source.hangs.withLock { $0 = false }
        let after = try #require(Client.get(try metricsPort(), "/metrics"))
        #expect(after.contains("\nztun_worker_answering{worker=\"1\"} 1\n"))
    }

    @Test func heldConnectionsDoNotKeepAProbeOut() throws {
        defer { finish() }
        let port = try readinessPort()
        var held: [Int32] = []
        defer { for one in held { close(one) } }
        for _ in 0..<200 {
            let one = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            _ = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(one, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            held.append(one)
        }
        #expect(Client.get(port, "/healthz/ready")?.hasSuffix("ready\n") == true)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", "400"), ("nonsense\r\n\r\n", "400"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n", "400"),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "y", count: 70_000) + "\r\n\r\n", "431"),
        ("POST /logging HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n", "413"),
        ("POST /logging HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
    ])
    func badRequestsAreAnsweredAndClosed(request: String, status: String) throws {
        defer { finish() }
        let client = try #require(Client(port: try adminPort()))
        client.send(request)
        #expect(client.readAll()?.hasPrefix("HTTP/1.1 \(status) ") == true)
        #expect(Client.get(try adminPort(), "/")?.hasPrefix("HTTP/1.1 200 ") == true)
    }

    @Test func liveSocketIsRefusedAndStaleOneReplaced() throws {
        let addresses = AdminAddresses(controlSocket: path)
        let failure = #expect(throws: AdminFailure.self) {
            try AdminServer(addresses, source: source, log: log)
        }
        #expect(failure?.description.contains("process \(getpid()) is running") == true)
        #expect(Client(path: path) != nil, "the live one still listens")
        finish()

        let stale = "/tmp/zt-stale-\(getpid()).sock"
        defer { unlink("\(stale).lock") }
        let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: stale.utf8) }
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        close(left)
        let second = try AdminServer(AdminAddresses(controlSocket: stale), source: source, log: log)
        #expect(Client(path: stale) != nil)
        second.stop()
    }

    @Test func fileInTheWayIsNotRemoved() throws {
        defer { finish() }
        let file = "/tmp/zt-file-\(getpid())"
        close(open(file, O_CREAT | O_WRONLY, 0o600))
        defer {
            unlink(file)
            unlink("\(file).lock")
        }
        let failure = #expect(throws: AdminFailure.self) {
            try AdminServer(AdminAddresses(controlSocket: file), source: source, log: log)
        }
        #expect(failure?.description.contains("another kind") == true)
        #expect(access(file, F_OK) == 0)
    }

    @Test func takenPortNamesAddressAndFlag() throws {
        defer { finish() }
        let taken = try #require(server.addresses.metrics)
        let failure = #expect(throws: AdminFailure.self) {
            try AdminServer(AdminAddresses(metrics: taken), source: source, log: log)
        }
        #expect(failure?.description.contains("\(taken)") == true)
        #expect(failure?.description.contains("--metrics-address") == true)
    }
}
