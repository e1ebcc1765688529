internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore

/// A client's connection to a port that does not speak HTTP: bytes both ways, with back-pressure and half-close.
final class RelaySession: ChannelReceiver {
    let source: TunnelSource
    let destination: L7Destination
    let start: UInt64
    private(set) var choice: L7Upstream?
    private(set) var bytesReceived: UInt64 = 0
    private(set) var bytesSent: UInt64 = 0
    private(set) var failure: TunnelFailure?
    private let client: Channel
    private var upstream: Channel?
    private var isOpen = false
    private var isClosed = false
    private var attempts = 0
    private var excluded: [String] = []
    /// Bytes that a side was given and that have not left to the other.
    private var owedClient = 0
    private var owedUpstream = 0
    private var ended = 0
    private let backend: HTTPRoute.Backend.Destination
    private unowned(unsafe) let worker: WaypointWorker

    init(
        channel: Channel, source: TunnelSource, destination: L7Destination, backend: HTTPRoute.Backend.Destination,
        worker: WaypointWorker
    ) {
        client = channel
        self.source = source
        self.destination = destination
        self.backend = backend
        self.worker = worker
        start = worker.loop.now
        channel.receiver = self
        worker.opened(self)
        connect()
    }

    private func connect() {
        attempts += 1
        do throws(RoutingCore.Refusal) {
            let choice = try worker.choose(backend, called: destination, for: source, excluding: excluded)
            self.choice = choice
            do throws(TunnelFailure) {
                let channel = try worker.channel(to: choice)
                channel.receiver = self
                if client.pending > 0 { channel.wantsDrained = true }
                upstream = channel
                worker.start(channel)
            } catch {
                connectFailed(error)
            }
        } catch {
            finish(TunnelFailure(error.reason, error.detail))
        }
    }

    private func connectFailed(_ failure: TunnelFailure) {
        upstream = nil
        if let choice { excluded.append(choice.workload.fields.uid) }
        // What the client has sent stays in `held` until a dial succeeds, so another endpoint sees all of it.
        guard choice?.mayTryAnother == true, failure.isWorthAnotherEndpoint, attempts < HTTPSession.attemptLimit else {
            return finish(failure)
        }
        connect()
    }

    /// What the client sent before the upstream stood.
    private var held: [UInt8] = []

    // MARK: - ChannelReceiver

    func channelOpened(_ channel: Channel) {
        guard channel === upstream else { return }
        isOpen = true
        if !held.isEmpty {
            held.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { channel.send(base, bytes.count) }
            }
            held = []
        }
        if clientEnded { channel.end() }
        settle()
    }

    private var clientEnded = false

    func channelReceived(_ channel: Channel, _ bytes: UnsafeRawPointer, _ count: Int) {
        if channel === client {
            bytesReceived += UInt64(count)
            owedClient += count
            if isOpen, let upstream {
                upstream.send(bytes, count)
            } else {
                held.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
            }
        } else {
            bytesSent += UInt64(count)
            owedUpstream += count
            client.send(bytes, count)
        }
        settle()
    }

    func channelDrained(_ channel: Channel) {
        settle()
    }

    /// Gives each side credit for what the other has taken.
    private func settle() {
        if owedClient > 0, isOpen, let upstream {
            if upstream.isFull {
                upstream.wantsDrained = true
            } else {
                client.consumed(owedClient)
                owedClient = 0
            }
        }
        if owedUpstream > 0, let upstream {
            if client.isFull {
                client.wantsDrained = true
            } else {
                upstream.consumed(owedUpstream)
                owedUpstream = 0
            }
        }
    }

    func channelEnded(_ channel: Channel) {
        if channel === client {
            clientEnded = true
            if isOpen { upstream?.end() }
        } else {
            client.end()
        }
    }

    func channelClosed(_ channel: Channel, _ failure: TunnelFailure?) {
        guard !isClosed else { return }
        if channel !== client, !isOpen {
            return connectFailed(failure ?? TunnelFailure(.reset, "closed", isBeforeRequest: true))
        }
        ended += 1
        if failure == nil, ended < 2 {
            if channel === client { upstream?.end() } else { client.end() }
            return
        }
        finish(failure)
    }

    /// Bytes that wait for the client or for the endpoint.
    var heldBytes: Int { client.held + (upstream?.held ?? 0) }

    /// Cuts both sides.
    func abort(_ failure: TunnelFailure) {
        finish(failure)
    }

    private func finish(_ failure: TunnelFailure?) {
        guard !isClosed else { return }
        isClosed = true
        self.failure = failure
        client.abort()
        upstream?.abort()
        upstream = nil
        worker.closed(self)
    }
}
