package import EventLoop

extension PodCapture {
    /// What the next ztund needs to go on with this pod, and the numbers of its listeners; nil unless it is enrolled.
    package var inheritance: (pod: PodInheritance, listeners: [Int32])? {
        guard let namespace = heldNamespace, let sockets = heldSockets, isServing else { return nil }
        var pod = PodInheritance(
            namespace: location.namespace, name: location.name, path: location.path,
            device: namespace.identity.device, inode: namespace.identity.inode, acceptsIPv6: sockets.acceptsIPv6,
            settings: [:], rules: "", table: "", mode: choice.mode, modeReason: choice.reason)
        migrateRequests.hand(to: &pod)
        older?.hand(to: &pod)
        pod.asksFailOpen = asksFailOpen
        pod.failsOpen = failsOpen
        heldRedirection?.hand(to: &pod)
        forwarding?.rules.hand(to: &pod)
        pod.forwardingReason = forwarding?.choice.reason
        return (pod, sockets.listeners)
    }

    /// Goes on where another ztund stops: serves its listeners, leaves what it installed in place and looks after it.
    ///
    /// - Throws: ``CaptureFailure`` when the path no longer leads to the namespace that the listeners are in.
    package convenience init(
        adopting pod: PodInheritance, _ listeners: DescriptorBundle, options: CaptureOptions, now: UInt64
    ) throws(CaptureFailure) {
        try self.init(adopting: pod, listeners, node: NodeCapture(options), now: now)
    }

    /// As the initialiser with options, on a node.
    package convenience init(
        adopting pod: PodInheritance, _ listeners: DescriptorBundle, node: NodeCapture, now: UInt64
    ) throws(CaptureFailure) {
        let namespace = try NetworkNamespace(path: pod.path)
        guard namespace.identity == NetworkNamespace.Identity(device: pod.device, inode: pod.inode) else {
            throw CaptureFailure("there is a new network namespace at \(escaped(pod.path))")
        }
        let choice = CaptureChoice(mode: pod.mode ?? node.options.mode, reason: pod.modeReason ?? "taken over")
        let sockets = try PodSockets(
            adopting: listeners, in: namespace, acceptsIPv6: pod.acceptsIPv6, keepAlive: node.options.keepAlive,
            binding: choice.binding, rewritten: try node.rewrittenConnections(choice.mode, now: now))
        try self.init(adopting: pod, namespace, sockets, choice, node: node, now: now)
    }

    /// Another ztund serves the pod now, and what is installed is its. Every worker must have let go of the listeners;
    /// connections that are open go on, and ``advance(now:)`` still notices the end of the namespace.
    package func handOver() {
        becomeGuest()
        heldSockets?.letGo()
    }
}

extension PodSockets {
    /// The listeners' numbers, as ``PodCapture/init(adopting:_:options:now:)`` takes them.
    package var listeners: [Int32] { [outbound.number, inbound.number, tunnel.number] }

    /// Closes our copies of the listeners; their numbers stay taken until this object goes.
    func letGo() {
        for number in listeners { Kernel.blank(number) }
    }
}
