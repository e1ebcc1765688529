internal import EventLoop

extension NodeCapture {
    /// Looks whether a boot gate was installed, installed anew or taken away since the last call.
    ///
    /// - Returns: whether there is another one than before, which has to be told of the pods (``PodCapture/passGate()``).
    package func refreshGate() -> Bool {
        let found = BootGate.identity(in: options.gateDirectory)
        guard found != gateIdentity else { return false }
        gateIdentity = found
        gate = found == nil ? nil : (try? BootGate.open(options.gateDirectory)) ?? nil
        try? gate?.allowOwnNamespace()
        return gate != nil
    }

    /// Lets a namespace through whose pod is no part of the mesh, by the state.
    package func letThrough(outsideAt path: String) {
        guard let gate, let namespace = try? NetworkNamespace(path: path) else { return }
        try? gate.allow(namespace, .outside)
    }

    /// ztund ends and lets its pods go: before they could talk in the clear, the gate closes before them.
    package func shutGate() { gate?.shut() }

    /// What a person should know of the gate; nil where there is none.
    var gateNote: String? {
        guard let gate else { return nil }
        let figures = gate.figures
        if figures.opensIn == 1 {
            return "the boot gate in \(escaped(options.gateDirectory)) has opened by itself: its time was over"
        }
        guard gate.standing.halves.contains(.connects) else {
            return
                "the boot gate in \(escaped(options.gateDirectory)) does not stand: its cgroup is gone; install it again (ztun gate install)"
        }
        return "a boot gate refuses pods that are not enrolled: \(figures.refusedConnects) connects and "
            + "\(figures.droppedArrivals) arrivals so far (ztun gate status)"
    }
}

extension PodCapture {
    /// Tells the boot gate, where there is one, that the pod may talk: what it says is captured from now on.
    package func passGate() {
        guard isServing, let namespace = heldNamespace else { return }
        try? node.gate?.allow(namespace, .enrolled)
    }

    /// The pod is to be enrolled, so it is not let through as one outside of the mesh any longer.
    func waitAtGate() {
        guard let gate = node.gate, let namespace = heldNamespace, gate.why(namespace) == .outside else { return }
        try? gate.forbid(namespace)
    }

    /// The pod left the mesh and talks as it likes, or its namespace is gone.
    func leaveGate(isGone: Bool) {
        guard let gate = node.gate, let namespace = heldNamespace else { return }
        if isGone { try? gate.forbid(namespace) } else { try? gate.allow(namespace, .byHand) }
    }
}
