internal import EventLoop
internal import HBONE

/// The idle HTTP/1.1 connections of one worker to endpoints, the last used first, so that the others grow old and go.
final class UpstreamPool {
    /// Idle connections kept for one endpoint.
    static let idleLimit = 256
    /// Seconds an idle connection is kept.
    static let idleSeconds = 60.0

    private var idle: [UpstreamKey: [UpstreamConnection]] = [:]

    /// Takes an idle connection out.
    func take(_ key: UpstreamKey) -> UpstreamConnection? {
        idle[key]?.popLast()
    }

    /// Keeps a connection whose last response has ended; false when there are enough.
    func put(_ connection: UpstreamConnection) -> Bool {
        guard idle[connection.key, default: []].count < Self.idleLimit else { return false }
        idle[connection.key, default: []].append(connection)
        return true
    }

    /// Forgets an idle connection that has ended.
    func remove(_ connection: UpstreamConnection) {
        guard var list = idle[connection.key] else { return }
        list.removeAll { $0 === connection }
        idle[connection.key] = list.isEmpty ? nil : list
    }

    /// Ends all idle connections.
    func close() {
        let all = idle.values.flatMap { $0 }
        idle = [:]
        for connection in all { connection.close() }
    }
}
