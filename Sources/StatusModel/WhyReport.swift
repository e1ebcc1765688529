/// The body of `POST /why`: would this connection be let through, and who decides it?
package struct WhyRequest: Codable, Sendable, Hashable {
    /// A pod or workload (`NS/NAME`), a service, a host name or an address.
    package var source: String
    /// The same, with the port behind a colon; without it, the only port of the service.
    package var destination: String
    /// The text of manifests that are to be tried on top of what is in force; nil for none.
    package var manifests: String?
    /// Their name, for messages.
    package var manifestsName: String?
    /// The request that the connection carries; nil when nobody says.
    package var http: HTTP?
    /// Whether every endpoint is to be told, not only one; nil is no.
    package var allEndpoints: Bool?

    /// What a waypoint's routes look at.
    package struct HTTP: Codable, Sendable, Hashable {
        package struct Field: Codable, Sendable, Hashable {
            package var name: String
            package var value: String

            package init(name: String, value: String) {
                self.name = name
                self.value = value
            }
        }
        package var method: String
        /// With its query.
        package var path: String
        package var host: String
        package var headers: [Field]

        package init(method: String, path: String, host: String = "", headers: [Field] = []) {
            self.method = method
            self.path = path
            self.host = host
            self.headers = headers
        }
    }

    package init(source: String, destination: String, manifests: String? = nil, manifestsName: String? = nil) {
        self.source = source
        self.destination = destination
        self.manifests = manifests
        self.manifestsName = manifestsName
    }
}

/// The answer to `POST /why`.
package struct WhyReport: Codable, Sendable, Hashable {
    /// One step of the decision.
    package struct Step: Codable, Sendable, Hashable {
        /// `source`, `resolve`, `tunnel`, `waypoint`, `inbound`, `policy`.
        package var stage: String
        /// Where it is taken: `source node`, `waypoint`, `destination node`.
        package var place: String
        package var text: String

        package init(stage: String, place: String, text: String) {
            self.stage = stage
            self.place = place
            self.text = text
        }
    }
    /// What becomes of it at one endpoint.
    package struct Endpoint: Codable, Sendable, Hashable {
        /// `NS/NAME`.
        package var name: String
        /// Empty where it cannot be reached.
        package var address: String
        /// The destination of the waypoint's rule that leads there; empty without one.
        package var backend: String
        package var allowed: Bool
        package var reason: String
        package var policy: String
        package var refusedAt: String

        package init(name: String, address: String, backend: String) {
            self.name = name
            self.address = address
            self.backend = backend
            allowed = false
            reason = ""
            policy = ""
            refusedAt = ""
        }
    }
    package var source: String
    package var destination: String
    /// Whether the connection would be carried; whether the application answers is another matter.
    package var allowed: Bool
    /// The token of the refusal; empty where there is none.
    package var reason: String
    /// The policy that refuses, or that lets in, as `NS/NAME`; empty where none does.
    package var policy: String
    /// Where it is refused: `source node`, `waypoint`, `destination node`; empty where it is not.
    package var refusedAt: String
    package var steps: [Step]
    /// What the answer does not cover, and faults of the manifests that were tried.
    package var notes: [String]
    /// All endpoints, where they were asked for.
    package var endpoints: [Endpoint]?

    package init(source: String, destination: String) {
        self.source = source
        self.destination = destination
        allowed = false
        reason = ""
        policy = ""
        refusedAt = ""
        steps = []
        notes = []
    }
}
