internal import EventLoop
internal import Glibc
internal import HTTP2
internal import MeshModel
internal import TLS
internal import Telemetry

extension TunnelConnection {
    /// Batches one readiness may take before other connections of the worker get their turn.
    private static let batchesPerTurn = 4
    private static let largestRecord = 16_384 + 256

    // MARK: - Input

    /// Reads until the socket is drained: a short read says so, unless the peer has closed and the end is to be read.
    func readInput() {
        hasMoreInput = true
        if phase == .handshaking, !buffers.handshakes.admits(self) { return }
        readBatches()
    }

    /// The handshake's turn has come.
    func continueHandshake() {
        if phase == .handshaking, hasMoreInput { readBatches() }
    }

    private func readBatches() {
        if phase == .handshaking, !hasSession { guard beginHandshake() else { return } }
        buffersReference._withUnsafeGuaranteedRef { readBatches($0) }
    }

    private func readBatches(_ buffers: TunnelBuffers) {
        for _ in 0..<Self.batchesPerTurn {
            guard share.mayMove else { return deferInput() }
            guard !mustPause else { return pause() }
            let count = Kernel.read(fd, buffers.cipherIn, TunnelBuffers.size)
            guard count > 0 else {
                hasMoreInput = false
                if count == -Int(EAGAIN) { return }
                return ended(count)
            }
            spend(count)
            take(count, buffers)
            if phase == .closed { return }
            if count < TunnelBuffers.size, !readsToTheEnd {
                hasMoreInput = false
                return
            }
        }
        mark()
    }

    private func ended(_ result: Int) {
        let what = result == 0 ? "closed by \(remote)" : "read from \(remote): \(Kernel.errnoName(Int32(-result)))"
        let early = phase != .open
        if !early, streamCount == 0 { return fail(nil) }
        fail(
            TunnelFailure(
                early ? .tlsFailed : .reset, early ? "connection \(what) during the TLS handshake" : "tunnel \(what)",
                isBeforeRequest: early))
    }

    private func take(_ count: Int, _ buffers: TunnelBuffers) {
        let channel = buffers.channel
        let tls = self.tls
        channel.setInput(buffers.cipherIn, count: count)
        if phase == .handshaking {
            takeHandshakeStep()
            guard phase == .open else { return }
        }
        var filled = 0
        var state = 1
        while true {
            state = tls.read(into: buffers.plainIn + filled, capacity: TunnelBuffers.plainInSize - filled)
            if state > 0 { filled += state }
            if filled > 0, state <= 0 || TunnelBuffers.plainInSize - filled < Self.largestRecord {
                deliver(filled, buffers)
                filled = 0
                if phase == .closed { return }
            }
            if state <= 0 { break }
        }
        if channel.outputCount > 0 { sendSealed(channel, mayKeep: true) }
        if state == -1 {
            fail(streamCount == 0 ? nil : TunnelFailure(.reset, "tunnel closed by \(remote)"))
        } else if state == -2, let failure = tls.failure {
            fail(TunnelFailure(failure.reason, "\(failure) from \(remote)"))
        }
    }

    private func deliver(_ count: Int, _ buffers: TunnelBuffers) {
        guard let http2 else { return }
        let isAlive = http2.receive(buffers.plainIn, count: count, now: now)
        // Sinks borrowed ranges of plainIn: they write or copy them before it is filled again.
        for reference in touched {
            let isOver = reference._withUnsafeGuaranteedRef { stream in
                stream.flush()
                stream.isTouched = false
                return stream.isOver
            }
            if isOver { reference.release() }
        }
        touched.removeAll(keepingCapacity: true)
        if !isAlive {
            flushGoodbye(http2)
            if let failure = http2.failure {
                fail(TunnelFailure(failure.reason, "\(failure) (\(remote))"))
            }
            return
        }
        watchFrames(http2)
        adaptWindows(http2)
        if http2.wantsToProduce { mark() }
    }

    /// GOAWAY on a connection that is about to die.
    private func flushGoodbye(_ http2: HTTP2Engine) {
        guard backlog.isEmpty else { return }
        let count = http2.produce(into: buffers.plainOut, capacity: TunnelBuffers.size)
        if count > 0, tls.write(buffers.plainOut, count: count) { sendSealed(mayKeep: false) }
    }

    // MARK: - Handshake

    /// Begins the handshake, or looks at it again, without input.
    func advanceHandshake() {
        // What another session left unread in the channel is not ours.
        buffers.channel.setInput(buffers.cipherIn, count: 0)
        takeHandshakeStep()
    }

    private func takeHandshakeStep() {
        let progress = tls.handshake()
        sendSealed(mayKeep: true)
        switch progress {
        case .wantsInput:
            return
        case .failed:
            let failure = tls.failure
            fail(
                TunnelFailure(
                    failure?.reason ?? .tlsFailed, "\(failure?.description ?? "TLS") (\(remote))",
                    isBeforeRequest: true))
        case .done:
            stepDeadline = nil
            buffers.handshakes.ended(self)
            if role == .client { milestones.secured = Kernel.monotonicNow() }
            phase = .open
            http2 = HTTP2Engine(role, delegate: self, limits: limits, now: loop.now)
            schedulePing()
            watchFrames(nil)
            mark()
            owner?.tunnelOpened(self)
        }
    }

    // MARK: - Output

    /// Seals and sends what the streams have, 64 KiB at a time, until nothing is left or the socket is full.
    func writeOutput() {
        guard let http2 else { return }
        buffersReference._withUnsafeGuaranteedRef { writeOutput(http2, $0) }
    }

    private func writeOutput(_ http2: HTTP2Engine, _ buffers: TunnelBuffers) {
        let tls = self.tls
        var batches = 0
        while backlog.isEmpty {
            guard share.mayMove else { return waitForTurn() }
            let count = http2.produce(into: buffers.plainOut, capacity: TunnelBuffers.size)
            if count == 0 { break }
            spend(count)
            guard tls.write(buffers.plainOut, count: count) else {
                return fail(TunnelFailure(.tlsFailed, tls.failure?.description ?? "TLS write"))
            }
            sendSealed(buffers.channel, mayKeep: true)
            if phase == .closed { return }
            batches += 1
            if batches == Self.batchesPerTurn {
                mark()
                return
            }
        }
        if backlog.isEmpty, let failure = http2.failure {
            return fail(TunnelFailure(failure.reason, failure.description))
        }
        guard backlog.isEmpty, isEnding || http2.isFinished else { return }
        // The library ends a session under running streams only when the peer broke the protocol.
        let isBroken = !isEnding && streamCount > 0
        fail(isBroken ? TunnelFailure(.http2Failed, "the peer (\(remote)) broke HTTP/2") : nil)
    }

    /// Writes the channel's output; what the socket does not take is kept, unless the connection is closing anyway.
    func sendSealed(mayKeep: Bool) {
        sendSealed(buffers.channel, mayKeep: mayKeep)
    }

    private func sendSealed(_ channel: TLSChannel, mayKeep: Bool) {
        let count = channel.outputCount
        guard count > 0 else { return }
        var sent = 0
        if backlog.isEmpty, descriptor != nil {
            let result = Kernel.write(fd, channel.output, count)
            if result >= 0 {
                sent = result
            } else if result != -Int(EAGAIN) {
                channel.clearOutput()
                if mayKeep { writeFailed(result) }
                return
            }
        }
        if sent < count, mayKeep {
            backlog.append(channel.output + sent, count - sent)
            settleBacklog()
        }
        channel.clearOutput()
    }

    func writeBacklog() {
        while let start = backlog.start {
            let result = Kernel.write(fd, start, backlog.count)
            if result < 0 {
                if result != -Int(EAGAIN) { writeFailed(result) }
                return
            }
            backlog.drop(result)
        }
        settleBacklog()
        mark()
    }

    private func writeFailed(_ result: Int) {
        fail(
            TunnelFailure(
                phase == .open ? .reset : .tlsFailed, "write to \(remote): \(Kernel.errnoName(Int32(-result)))",
                isBeforeRequest: phase != .open))
    }
}
