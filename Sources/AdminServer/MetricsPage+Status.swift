package import StatusModel

extension MetricsPage {
    /// Writes what the status says and a dashboard wants.
    package mutating func write(_ report: StatusReport) {
        let isNode = report.program == "ztund"
        write(
            Metric(
                "istio_build", .gauge, help: "Constant 1, labelled with the component and its version",
                samples: [
                    .init(
                        1,
                        labels: [
                            .init("component", isNode ? "ztunnel" : report.program), .init("tag", report.version),
                        ])
                ]))
        if isNode {
            let active = report.pods.count { $0.state.isCaptured }
            write(
                Metric(
                    "workload_manager_active_proxy_count", .gauge, help: "Pods whose traffic is taken care of",
                    value: Double(active)))
            write(
                Metric(
                    "workload_manager_pending_proxy_count", .gauge,
                    help: "Pods that are known and not yet taken care of",
                    value: Double(report.pods.count { $0.state == .pending || $0.state == .failed })))
            write(
                Metric(
                    "ztun_capture_repairs", .counter, help: "Times a pod's capture was found damaged and put right",
                    value: Double(report.pods.reduce(0) { $0 + $1.repairs })))
        }
        write(
            Metric(
                "ztun_certificate_not_after_seconds", .gauge,
                help: "End of a certificate's validity, seconds since 1970",
                samples: report.certificates.compactMap { certificate in
                    certificate.notAfter.map {
                        .init(Double($0.unixSeconds), labels: [.init("identity", certificate.identity)])
                    }
                }))
        write(
            Metric(
                "ztun_state_generation", .gauge, help: "Accepted changes of the state",
                value: Double(report.state.generation)))
        write(
            Metric(
                "ztun_state_error", .gauge, help: "1 while the newest state was refused and the last good one serves",
                value: report.state.lastError.isEmpty ? 0 : 1))
        writeWorkers(report.workers)
        write(
            Metric(
                "ztun_log_lines_dropped", .counter, help: "Log lines lost because the output was too slow",
                value: Double(report.logLinesDropped)))
        if let requests = report.traffic.requests {
            write(Metric("ztun_requests", .counter, help: "HTTP requests answered", value: Double(requests)))
        }
        for metric in ProcessFigures.metrics(startedAt: report.startedAt) { write(metric) }
    }

    private mutating func writeWorkers(_ workers: [WorkerStatus]) {
        let figures: [(name: String, help: String, value: (WorkerStatus) -> Double)] = [
            ("ztun_worker_answering", "1 while the worker answers within a second", { $0.answering ? 1 : 0 }),
            ("ztun_worker_connections", "Application connections open on the worker", { Double($0.connections) }),
            ("ztun_worker_tunnels", "HBONE connections open on the worker", { Double($0.tunnels) }),
            ("ztun_worker_streams", "HBONE streams open on the worker", { Double($0.streams) }),
            (
                "ztun_worker_loop_lag_seconds", "How long the last question waited for the worker's turn",
                { Double($0.loopLagMicroseconds) / 1_000_000 }
            ),
        ]
        write(Metric("runtime_workers", .gauge, help: "Data threads", value: Double(workers.count)))
        let sums: [(name: String, help: String, value: (WorkerStatus) -> Double?)] = [
            (
                "runtime_worker_cpu_seconds", "CPU time of the worker's thread",
                { $0.cpuMicroseconds.map { Double($0) / 1_000_000 } }
            ),
            ("runtime_worker_turns", "Turns of the worker's event loop", { $0.turns.map(Double.init) }),
        ]
        for (name, help, value) in sums {
            write(
                Metric(
                    name, .counter, help: help,
                    samples: workers.compactMap { worker in
                        value(worker).map { .init($0, labels: [.init("worker", "\(worker.index)")]) }
                    }))
        }
        for (name, help, value) in figures {
            write(
                Metric(
                    name, .gauge, help: help,
                    samples: workers.map { .init(value($0), labels: [.init("worker", "\($0.index)")]) }))
        }
    }
}
