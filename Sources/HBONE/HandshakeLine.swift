internal import MeshModel

/// The handshakes of one pod that wait for a turn.
///
/// Those that go on and those that begin alternate: strangers who only ever begin do not keep a peer from ending his, nor do
/// those who go on for ever keep anybody from beginning.
struct HandshakeLine {
    private var beginning = SourceQueue<TunnelConnection>()
    private var continuing = SourceQueue<TunnelConnection>()
    private var prefersBeginning = false

    var isEmpty: Bool { beginning.isEmpty && continuing.isEmpty }

    mutating func append(_ connection: TunnelConnection) {
        let source = HandshakeSource(connection.remote.ip)
        if connection.hasSession {
            continuing.append(connection, from: source)
        } else {
            beginning.append(connection, from: source)
        }
    }

    /// The next one whose handshake is still under way; nil when there is none.
    mutating func popFirst() -> TunnelConnection? {
        while !isEmpty {
            prefersBeginning.toggle()
            let first = prefersBeginning ? beginning.popFirst() : continuing.popFirst()
            guard let connection = first ?? (prefersBeginning ? continuing.popFirst() : beginning.popFirst()) else {
                break
            }
            connection.awaitsHandshakeTurn = false
            if connection.phase == .handshaking { return connection }
        }
        return nil
    }
}
