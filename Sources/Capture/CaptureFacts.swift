/// What was found about a node and a pod before a mode of capture is chosen.
package struct CaptureFacts: Sendable, Hashable {
    /// Why the node's BPF programs are not there; nil when they are.
    package var obstacle: String?
    /// Why pods' connects cannot be hooked, though programs can be loaded; nil when they can.
    package var hookObstacle: String?
    /// Why selection by route would break the pod, such as connections from before that it would cut; nil when it would not.
    package var routeObstacle: String?
    /// Programs of others that act on a connect after ours, a socket load balancer's for instance.
    package var laterPrograms: [String] = []
    /// What shows that the pod forwards for others (virtual machines, nested containers), which BPF programs on its sockets
    /// do not see; nil when nothing does.
    package var forwarder: String?

    package init() {}
}
