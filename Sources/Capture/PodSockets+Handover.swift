internal import EventLoop

extension PodSockets {
    /// Ends the listeners at once, whoever holds them; what waits at them goes to the other ztund's.
    ///
    /// Every worker must have taken them out of its loop before: an ended listener is readable for ever.
    func stopListening() {
        for number in [outbound.number, inbound.number, tunnel.number] { Kernel.stopListening(number) }
    }
}
