/// Every bound that ztun holds peers, pods and files to, in one place; [docs/limits.md](../../docs/limits.md) has the same
/// table with what happens over each and the test that proves it, and a test holds the two together.
///
/// The suffix of a name is its unit: Bytes, Seconds, PerMille; a name without one is a count. What a user can set is said
/// where it is set; these are the values it has otherwise.
package struct Limits: Sendable, Hashable {
    // MARK: One connection of a peer

    /// A header list: name, value and 32 for each field (RFC 9113 6.5.2), counted by us.
    package var headerListBytes = 16_384
    /// Fields of a header list.
    package var headerFields = 64
    /// A header block on the wire. An encoding longer than that cannot be of a list we take, and decoding it costs time.
    package var headerBlockBytes = 65_536
    /// Streams that a peer may have open at a time.
    package var concurrentStreams = 100
    /// Acts of misbehaviour a connection may show at once.
    package var glitches = 100
    /// How many of them are forgiven each second.
    package var glitchesForgivenPerSecond = 10
    /// Answers to SETTINGS and PING that may wait for a peer who does not read.
    package var pendingAnswers = 1000
    /// Our HPACK encoder's table, whatever the peer offers.
    package var encoderTableBytes = 4096
    /// The largest frame we take.
    package var frameBytes = 1_048_576
    /// What connect, TLS handshake, preface, header block and CONNECT may take, each.
    package var stepSeconds = 10.0
    /// Silence before a PING.
    package var pingSeconds = 10.0
    /// What the answer to it may take.
    package var pongSeconds = 20.0
    /// Key updates in the life of a connection. No honest peer needs them: AES-GCM wants new keys after 2^24 records.
    package var keyUpdates = 1000
    /// Handshakes of strangers under way on a worker, each with a session of some 50 KiB.
    package var handshakes = 1024
    /// Steps of handshakes in a turn of a worker; one of a pod.
    package var handshakeStepsPerTurn = 2

    // MARK: What waits

    /// A stream's window at first.
    package var streamWindowBytes = 262_144
    /// What it grows to with a fast reader.
    package var largestStreamWindowBytes = 4_194_304
    /// What it shrinks to while memory is short.
    package var smallStreamWindowBytes = 65_535
    /// What all streams of a connection may have on the wire.
    package var connectionWindowBytes = 16_777_216
    /// What may wait for the slow readers of one pod.
    package var podMemoryBytes = 67_108_864
    /// What may wait for all slow readers of the process.
    package var processMemoryBytes = 268_435_456
    /// The ladder: windows shrink from this share of a budget on.
    package var tightPerMille = 500
    /// They open again below this one.
    package var relaxedPerMille = 375
    /// Reading stops for what already holds something, and new work is refused.
    package var fullPerMille = 900
    /// Reading goes on below this one.
    package var relievedPerMille = 800
    /// The connection that holds most is cut.
    package var overPerMille = 1000
    /// How long reading may have stopped before the connection that holds most is cut all the same.
    package var patienceSeconds = 5.0
    /// Between two such cuts.
    package var shedSeconds = 1.0
    /// Arrivals at one pod, on one worker, that wait for the state to know the pod.
    package var arrivals = 256
    /// How long each waits.
    package var arrivalSeconds = 5.0
    /// Flows of a worker that `ztun observe` can still ask for.
    package var observedFlows = 4096
    /// Classes of connections in a worker's journal of the last day.
    package var journalClasses = 4096
    /// Addresses of strangers among them.
    package var journalStrangers = 1024
    /// Refusals that a worker remembers.
    package var refusals = 4096
    /// Rows of a worker's metrics of connections.
    package var trafficRows = 4096
    /// Host names that are being looked up or remembered.
    package var lookups = 4096
    /// Lookups at a time.
    package var lookupThreads = 8
    /// What one may take.
    package var lookupSeconds = 10.0
    /// The share of open files at which accepting pauses.
    package var descriptorsPerMille = 900

    // MARK: Text and files

    /// `:authority`.
    package var authorityBytes = 259
    /// A SPIFFE identity.
    package var identityBytes = 2048
    /// Members of `baggage`.
    package var baggageMembers = 32
    /// The value of one.
    package var baggageValueBytes = 253
    /// `forwarded`.
    package var forwardedBytes = 1024
    /// The head of an HTTP/1.1 message, and its trailers.
    package var messageHeadBytes = 61_440
    /// Fields in each of them.
    package var messageFields = 100
    /// Extensions of one chunk. Signed uploads put some 90 bytes behind every chunk.
    package var chunkExtensionBytes = 4096
    /// Interim responses before the final one.
    package var interimResponses = 16
    /// What the head of a request may take at the waypoint, once it has begun.
    package var messageHeadSeconds = 60.0
    /// A file of state, routes or configuration.
    package var fileBytes = 67_108_864
    /// Mappings and lists inside each other.
    package var fileDepth = 64
    /// Uses of anchors.
    package var fileAliases = 1000
    /// Values, each alias counted as all that it names.
    package var fileValues = 16_000_000
    /// Certificates in a file.
    package var certificates = 1000
    /// Revocation lists in a file.
    package var revocationLists = 1000
    /// A request to the admin, metrics or readiness port, head and body each.
    package var adminRequestBytes = 16_384
    /// A command on the control socket.
    package var controlRequestBytes = 2_097_152
    /// Rows of the metrics of requests at the waypoint.
    package var metricRows = 1024
    /// Outcomes in each of them.
    package var metricOutcomes = 64

    package init() {}

    /// What holds where nothing else was said.
    package static let standard = Limits()
}
