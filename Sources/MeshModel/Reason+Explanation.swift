extension Reason {
    /// What a person needs to know of a reason: `ztun reasons` and docs/reasons.md show it.
    package struct Explanation: Hashable, Sendable {
        /// What has happened, one sentence.
        package let cause: String
        /// What to do about it, one or two sentences.
        package let nextStep: String

        init(_ cause: String, _ nextStep: String) {
            self.cause = cause
            self.nextStep = nextStep
        }
    }

    /// The cause and the next step.
    package var explanation: Explanation {
        switch self {
        case .policyDenied, .policyNotAllowed, .policyUnknown, .policyChanged, .networkPolicyDenied: policyExplanation
        case .workloadUnknown, .noHealthyUpstream, .servicePortUnknown, .waypointUnknown, .gatewayUnknown,
            .destinationUnknown, .serviceUnknown, .destinationMismatch, .recursiveCall:
            destinationExplanation
        case .connectFailed, .connectTimeout, .tunnelPortBlocked, .tlsFailed, .tlsTimeout, .identityMismatch,
            .trustDomainMismatch, .certificateRevoked, .certificateUnavailable:
            connectionExplanation
        case .methodNotConnect, .authorityInvalid, .http2Failed, .tunnelTimeout, .tunnelRefused, .peerUnresponsive,
            .peerMisbehaved:
            tunnelExplanation
        case .draining, .drainDeadline, .overLimit, .reset, .podRemoved: lifeExplanation
        case .routeNotFound, .requestInvalid, .responseInvalid: requestExplanation
        }
    }

    private var policyExplanation: Explanation {
        switch self {
        case .policyDenied:
            .init(
                "A DENY policy matched the connection; the record names it.",
                "If the caller should be let in, narrow that policy: `ztun policies NAMESPACE/NAME -o yaml` shows its "
                    + "rules, the record's identity and port are what they were held against.")
        case .policyNotAllowed:
            .init(
                "ALLOW policies apply to the workload and none of them matched the connection.",
                "Add the caller's identity to one of the ALLOW policies of the workload's namespace (`ztun policies "
                    + "--namespace NAMESPACE`). A caller outside the mesh has no identity and matches no principal.")
        case .policyUnknown:
            .init(
                "The workload names a policy that the state does not have, so the connection fails closed.",
                "Give the state the policy the record names, or take its name off the workload.")
        case .networkPolicyDenied:
            .init(
                "NetworkPolicies select the pod and none of their rules admits this peer on this port.",
                "Add a rule for the peer and the application's port to one of the policies the record names; "
                    + "`ztun why SOURCE DESTINATION:PORT` shows which were asked.")
        case .policyChanged:
            .init(
                "A live connection was cut because a policy or workload changed and it is no longer allowed.",
                "Nothing, if the change was meant; else undo it. New attempts are refused with the policy's own reason."
            )
        default: .init("", "")
        }
    }

    private var destinationExplanation: Explanation {
        switch self {
        case .workloadUnknown:
            .init(
                "The pod whose traffic this is has no workload in the state (yet).",
                "`ztun status` shows the pod and the age of the state: add the workload under the pod's namespace and "
                    + "name, or repair the source the state comes from.")
        case .noHealthyUpstream:
            .init(
                "The service has no endpoint that is healthy, offers that port and can be reached from here.",
                "`ztun services` counts the healthy endpoints: bring one up, or correct the endpoint's status, port map "
                    + "or network in the state.")
        case .servicePortUnknown:
            .init(
                "The service that was called does not declare that port.",
                "Call a port that `ztun services` lists for it, or add the port to the service.")
        case .waypointUnknown:
            .init(
                "The waypoint that the destination names is not in the state, or none of its pods is healthy.",
                "Start the waypoint or take its name off the service or workload; traffic never goes around it.")
        case .gatewayUnknown:
            .init(
                "The destination is on another network and no gateway that is known leads there.",
                "Add the network's gateway to the workload, or correct the workload's network.")
        case .destinationUnknown:
            .init(
                "No workload, service or ServiceEntry has the address that was called, and the mesh allows nothing else "
                    + "(`outboundTrafficPolicy` is REGISTRY_ONLY).",
                "Register the destination: a ServiceEntry with its addresses that the caller's namespace can see. Or allow "
                    + "everything again with ALLOW_ANY.")
        case .serviceUnknown:
            .init(
                "The CONNECT authority is a host name that no service visible to the caller has.",
                "Compare the name in the record with `ztun services`; a service with namespace visibility is seen in "
                    + "its own namespace only.")
        case .destinationMismatch:
            .init(
                "A tunnel asked for an address that does not belong to the pod it arrived at.",
                "The caller's picture of the mesh is old or another one: compare the age of the state on both nodes "
                    + "(`ztun status`). If it stays, somebody tries what is not theirs.")
        case .recursiveCall:
            .init(
                "The connection would have come back to the proxy's own ports.",
                "Do not call ports 15001, 15006 and 15008 of a pod yourself: call the application's port.")
        default: .init("", "")
        }
    }

    private var connectionExplanation: Explanation {
        switch self {
        case .connectFailed:
            .init(
                "The TCP connection to the peer or to the application was refused or failed.",
                "Inbound: see that the application listens on that port and address. Outbound: see that the peer's node "
                    + "proxy runs and serves the pod (`ztun status` there).")
        case .connectTimeout:
            .init(
                "The TCP connection to the peer or the application took too long.",
                "See that the address answers at all, and that no firewall drops what is sent to it.")
        case .tunnelPortBlocked:
            .init(
                "TCP to the peer's port 15008 took too long.",
                "Perhaps a NetworkPolicy or firewall blocks it: ingress to mesh pods and egress to them must allow TCP "
                    + "15008.")
        case .tlsFailed:
            .init(
                "The TLS handshake with the peer failed; the record has the library's words.",
                "See that both nodes trust the same roots and that no certificate has expired (`ztun certs`).")
        case .tlsTimeout:
            .init(
                "The TLS handshake took too long.",
                "The peer is overloaded, or something between does not carry what it accepted: try again, then look at "
                    + "the peer's `ztun status`.")
        case .identityMismatch:
            .init(
                "The peer's certificate is valid, but of another identity than the state says of that address.",
                "The address has changed hands or the state is old: compare `ztun workloads` here with the pod's "
                    + "service account.")
        case .trustDomainMismatch:
            .init(
                "The peer's certificate belongs to another trust domain.",
                "Set the same trust domain on both nodes, or keep the peer out.")
        case .certificateRevoked:
            .init(
                "The peer's certificate is on the revocation list.",
                "Issue the peer a new certificate if it should be let in.")
        case .certificateUnavailable:
            .init(
                "This node has no valid certificate for the workload.",
                "`ztun status` says why under CERTIFICATES: repair the CA, the files or the clock.")
        default: .init("", "")
        }
    }

    private var tunnelExplanation: Explanation {
        switch self {
        case .methodNotConnect:
            .init(
                "A request on the tunnel port was not a CONNECT.",
                "Whoever sends it speaks HTTP/2 but not HBONE: correct the client the record names.")
        case .authorityInvalid:
            .init(
                "The CONNECT authority is missing, malformed or names no port.",
                "Correct the client: the authority is ADDRESS:PORT or HOST:PORT and equals Host where there is one.")
        case .http2Failed:
            .init(
                "The peer broke the HTTP/2 protocol.",
                "See what listens at the peer's port 15008 and its version; the record has the error.")
        case .tunnelTimeout:
            .init(
                "The peer did not answer the CONNECT in time.",
                "The application behind it may not accept, or the peer is overloaded: see `ztun status` there.")
        case .tunnelRefused:
            .init(
                "The peer refused the CONNECT with a status and gave no reason of ours.",
                "401 is its policy, 503 its application; look at the peer's own log or, where it is a ztund, `ztun "
                    + "denials`.")
        case .peerUnresponsive:
            .init(
                "The peer stopped answering pings, so its tunnel was closed.",
                "See that the peer's node is up and the network to it whole; new connections open a new tunnel.")
        case .peerMisbehaved:
            .init(
                "The peer spent its budget of misbehaviour on one connection, which was closed.",
                "See who it is: a broken client or an attempt to wear the proxy out.")
        default: .init("", "")
        }
    }

    private var lifeExplanation: Explanation {
        switch self {
        case .draining:
            .init(
                "The proxy is draining and takes no new work.",
                "Try again: its successor takes over. If it stays, see why it ends (`ztun status`).")
        case .drainDeadline:
            .init(
                "The proxy was shut down and the connection had not ended by the deadline.",
                "Give it more time with CONNECTION_TERMINATION_DEADLINE or the pod's termination grace period.")
        case .overLimit:
            .init(
                "A budget of memory, descriptors or streams is used up.",
                "The record names the budget: raise the limit of the process, or find who uses it up (`ztun "
                    + "connections`).")
        case .reset:
            .init(
                "The application or the peer reset the connection in mid-life.",
                "Look at the application that ended it; the bytes and the duration in the record tell how far it came.")
        case .podRemoved:
            .init(
                "The pod left the mesh while the connection was open.",
                "Nothing, if it was meant to leave; else `ztun pod add` takes it in again.")
        default: .init("", "")
        }
    }

    private var requestExplanation: Explanation {
        switch self {
        case .routeNotFound:
            .init(
                "No route of the waypoint matches the request.",
                "Compare method, path and headers of the record with the routes; a rule without matches takes the rest."
            )
        case .requestInvalid:
            .init("The request is not valid HTTP/1.1.", "Correct the client; the record says which rule it breaks.")
        case .responseInvalid:
            .init(
                "The upstream answered with something that is not valid HTTP/1.1.",
                "Correct the application, or declare its port as TCP.")
        default: .init("", "")
        }
    }
}

extension Reason {
    /// docs/reasons.md, whole; a test compares the file with it.
    package static var handbook: String {
        var text = """
            # Reasons

            Why a connection was refused or failed, as one stable token. The same token stands in four places: the access log
            of both ends (`reason=`), the metric `ztun_refusals_total{reason=}`, `ztun denials`, and, once the peer is verified,
            `Proxy-Status` on the answer to its CONNECT, from where the calling node takes it over. The application is never told.
            Applications reset connections all day: `reset` is counted and logged, and not kept for `ztun denials`. Of refusals before
            the peer is verified, one a second for each cause and address is logged and kept; all are counted.
            `drain_deadline` stands in the log only, since the program that would count and answer has ended; the other end sees a `reset`.
            A reason that comes after the CONNECT was answered (`policy_changed`, `pod_removed`, `certificate_revoked`, `peer_unresponsive`,
            `reset`) is in no `Proxy-Status`: the other end logs a `reset`, or what it finds out itself.

            This file is written by `ztun reasons -o markdown`; `ztun reasons TOKEN` explains one.

            | token | what has happened | what to do |
            |---|---|---|

            """
        for reason in allCases.sorted(by: { $0.rawValue < $1.rawValue }) {
            text += "| `\(reason.rawValue)` | \(reason.explanation.cause) | \(reason.explanation.nextStep) |\n"
        }
        return text
    }
}
