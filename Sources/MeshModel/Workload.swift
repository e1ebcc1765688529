/// One pod, VM or external host as the control plane describes it; immutable and shared by reference.
///
/// Field meanings follow `istio.workload.Workload`; an empty string is "not given" wherever a name may be absent.
package final class Workload: Sendable {
    /// How peers reach the workload.
    package enum TunnelProtocol: String, Sendable, CaseIterable { case tcp = "TCP", hbone = "HBONE" }
    /// Whether the workload shares its node's network.
    package enum NetworkMode: String, Sendable, CaseIterable { case standard = "Standard", hostNetwork = "HostNetwork" }
    package enum Health: String, Sendable, CaseIterable { case healthy = "Healthy", unhealthy = "Unhealthy" }
    /// What the workload itself expects in front of its traffic.
    package struct ApplicationTunnel: Hashable, Sendable {
        package enum Kind: String, Sendable, CaseIterable { case none = "NONE", proxy = "PROXY" }
        package var kind: Kind
        /// The port to use instead of the requested one; nil keeps the requested port.
        package var port: UInt16?

        package init(kind: Kind, port: UInt16?) {
            self.kind = kind
            self.port = port
        }
    }
    package struct Locality: Hashable, Sendable {
        package var region = ""
        package var zone = ""
        package var subzone = ""

        package init(region: String = "", zone: String = "", subzone: String = "") {
            self.region = region
            self.zone = zone
            self.subzone = subzone
        }
    }
    /// What a workload is made of; ``Workload`` is this, frozen.
    package struct Fields: Hashable, Sendable {
        package var uid = ""
        package var name = ""
        package var namespace = ""
        package var addresses: [IPAddress] = []
        package var hostname = ""
        package var network = ""
        package var tunnelProtocol = TunnelProtocol.tcp
        package var networkMode = NetworkMode.standard
        package var trustDomain = ""
        package var serviceAccount = ""
        package var node = ""
        package var health = Health.healthy
        package var clusterID = ""
        package var nativeTunnel = false
        package var applicationTunnel: ApplicationTunnel?
        package var waypoint: GatewayAddress?
        package var networkGateway: GatewayAddress?
        package var workloadName = ""
        package var workloadType = "pod"
        package var canonicalName = ""
        package var canonicalRevision = ""
        /// Policies attached by selector, as `namespace/name`.
        package var authorizationPolicies: [String] = []
        package var locality = Locality()
        /// Relative weight among the endpoints of a service; 1 when not given.
        package var capacity: UInt32 = 1
        /// For each service the workload is an endpoint of: service port → target port.
        package var services: [ServiceName: [UInt16: UInt16]] = [:]
        /// Of its pod, where the source knows them; network policies go by them.
        package var labels = LabelSet.empty
        /// The named TCP ports of its pod.
        package var ports: [String: UInt16] = [:]

        /// Whether its connections are to go past the mesh while its node's ztund is not there (`ztun.io/fail-open`).
        package var failsOpen = false
        /// The interfaces by which its pod forwards for others, as its source names them (`istio.io/reroute-virtual-interfaces`); empty
        /// where it says nothing.
        package var reroutedInterfaces = ""

        package init() {}

        /// The identity that follows from them.
        package var identity: SpiffeID {
            SpiffeID(
                trustDomain: trustDomain, namespace: namespace,
                serviceAccount: serviceAccount.isEmpty ? "default" : serviceAccount)
        }
    }

    package let fields: Fields
    /// The identity its certificate carries.
    package let identity: SpiffeID

    package init(_ fields: Fields) {
        self.fields = fields
        identity = fields.identity
    }
}

extension Workload: CustomStringConvertible {
    package var description: String { "\(fields.namespace)/\(fields.name)" }
}
