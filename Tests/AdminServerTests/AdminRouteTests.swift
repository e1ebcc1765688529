import Testing

@testable import AdminServer

@Suite struct AdminRouteTests {
    @Test(arguments: [
        (AdminSurface.admin, "GET", "/", AdminRoute.index),
        (.admin, "GET", "/config_dump", .configDump),
        (.admin, "POST", "/quitquitquit", .quit),
        (.admin, "POST", "/logging", .logging(level: nil, reset: false)),
        (.admin, "POST", "/logging?level=info%2Caccess%3Doff&reset", .logging(level: "info,access=off", reset: true)),
        (.control, "POST", "/logging?level=debug", .logging(level: "debug", reset: false)),
        (.control, "GET", "/status", .status),
        (.control, "POST", "/pods", .addPod),
        (.control, "DELETE", "/pods", .removePod),
        (.metrics, "GET", "/metrics", .metrics(openMetrics: false)),
        (.metrics, "GET", "/stats/prometheus?x=y", .metrics(openMetrics: false)),
        (.readiness, "GET", "/healthz/ready", .readiness),
    ])
    func known(surface: AdminSurface, method: String, target: String, route: AdminRoute) {
        #expect(AdminRoute(surface, method: method, target: target, accept: "") == route)
    }

    @Test(
        arguments: [
            (AdminSurface.readiness, "POST", "/healthz/ready", 405), (.readiness, "GET", "/metrics", 404),
            (.metrics, "GET", "/", 404), (.admin, "GET", "/logging", 405), (.admin, "GET", "/quitquitquit", 405),
            (.admin, "POST", "/pods", 404), (.admin, "GET", "/status", 404), (.control, "PUT", "/pods", 405),
            (.admin, "GET", "/config_dump/../status", 404), (.metrics, "GET", "", 404),
        ] as [(AdminSurface, String, String, UInt16)])
    func refused(surface: AdminSurface, method: String, target: String, status: UInt16) {
        guard case .refused(let response) = AdminRoute(surface, method: method, target: target, accept: "") else {
            Issue.record("\(method) \(target) is not refused")
            return
        }
        #expect(response.status == status)
        #expect(response.allow.isEmpty == (status == 404))
    }

    @Test(arguments: [
        ("application/openmetrics-text; version=1.0.0,text/plain;q=0.5", true),
        ("text/plain, application/openmetrics-text", true), ("text/plain", false), ("*/*", false),
    ])
    func accepts(accept: String, openMetrics: Bool) {
        #expect(
            AdminRoute(.metrics, method: "GET", target: "/metrics", accept: accept)
                == .metrics(openMetrics: openMetrics))
    }

    @Test func readinessHasZtunnelsWords() {
        #expect(AdminLoop.readiness(pending: []) == .text(200, "ready\n"))
        #expect(
            AdminLoop.readiness(pending: ["state manager", "proxy"])
                == .text(500, "not ready, pending: proxy, state manager\n"))
    }
}
