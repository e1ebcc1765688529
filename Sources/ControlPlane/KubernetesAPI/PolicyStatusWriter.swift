internal import Glibc
internal import MeshModel
internal import Telemetry

/// Writes on AuthorizationPolicies and PeerAuthentications what is not in force as written, one after the other, on a thread of its
/// own; asks first, and writes only what is not there yet.
final class PolicyStatusWriter: Sendable {
    private struct State {
        var wanted: [ObjectReference: PolicyCondition] = [:]
        /// What was written, or found written already.
        var written: [ObjectReference: PolicyCondition] = [:]
        var fault = ""
    }
    private let state = Lock(State())
    private let thread: ControlThread

    /// Milliseconds until what failed is tried again.
    private static let retryTime = 10_000

    init(_ server: APIServer, stop: StopSignal) throws(ControlThreadFailure) {
        let connection = Lock(APIConnection(server, stop: stop))
        let state = state
        thread = try ControlThread(name: "ztun-kube-stat", interval: 60_000) { _ in
            connection.withLock { PolicyStatusWriter.round(state, $0) }
        }
    }

    /// Says what all policies are to carry.
    func want(_ conditions: [ObjectReference: PolicyCondition]) {
        state.withLock { state in
            state.wanted = conditions
            state.written = state.written.filter { conditions[$0.key] != nil }
        }
        thread.wake()
    }

    func stop() { thread.stop() }

    /// Why the last try failed; empty when all is written.
    var fault: String { state.withLock { $0.fault } }

    private static func round(_ state: Lock<State>, _ connection: APIConnection) -> Int? {
        let due = state.withLock { state in state.wanted.filter { state.written[$0.key] != $0.value } }
        var fault = ""
        for (reference, condition) in due.sorted(by: { $0.key < $1.key }) {
            do throws(APIFailure) {
                try write(condition, on: reference, connection)
                state.withLock { $0.written[reference] = condition }
            } catch {
                if case .stopped = error { return 60_000 }
                connection.close()
                fault = "\(reference): \(error)"
                // One that may not be written says nothing of the next; a server that is away does.
                if case .status = error { continue }
                break
            }
        }
        state.withLock { $0.fault = fault }
        return fault.isEmpty ? nil : retryTime
    }

    private static func write(
        _ condition: PolicyCondition, on reference: ObjectReference, _ connection: APIConnection
    ) throws(APIFailure) {
        let plural = reference.kind == "PeerAuthentication" ? "peerauthentications" : "authorizationpolicies"
        let path = "/apis/security.istio.io/v1/namespaces/\(reference.namespace)/\(plural)/\(reference.name)"
        let found = try answer(connection) { () throws(APIFailure) in try connection.send("GET", path) }
        guard let found else { return }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = CivilTime(unixSeconds: Int64(time.tv_sec)).description
        guard let patch = condition.patch(of: found, now: now) else { return }
        _ = try answer(connection) { () throws(APIFailure) in
            try connection.send(
                "PATCH", path + "/status", type: "application/merge-patch+json", body: Array(patch.utf8))
        }
    }

    /// What the server answers; nil for an object that is gone.
    private static func answer(
        _ connection: APIConnection, _ send: () throws(APIFailure) -> Void
    ) throws(APIFailure) -> YAMLNode? {
        try send()
        let deadline = APIConnection.now() + 10_000
        var response = try connection.receive(until: deadline)
        while !response.isComplete { response = try connection.receive(until: deadline) }
        if response.status == 404 { return nil }
        let node = try? JSONReader.read(response.takeBody(), skipping: ["managedFields"])
        guard response.status == 200, let node else {
            throw .status(
                response.status, message: node?["message"]?.string.map(\.quoted) ?? "", retryAfter: response.retryAfter)
        }
        return node
    }
}
