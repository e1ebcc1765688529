internal import ArgumentParser

/// The thing that a mesh list is about: all, or one by `NS/NAME`.
struct MeshFilter: ParsableArguments {
    @Argument(help: "NS/NAME of one; without it all.")
    var name: String?

    @Option(name: .shortAndLong, help: "Only this namespace.")
    var namespace: String?

    func validate() throws {
        if let name, name.split(separator: "/", omittingEmptySubsequences: false).count != 2 {
            throw ValidationError("\(name.debugDescription) is not NS/NAME, for example app/web")
        }
    }

    /// Namespace and name to ask for; empty for any.
    var parts: (namespace: String, name: String) {
        guard let name, let slash = name.firstIndex(of: "/") else { return (namespace ?? "", "") }
        return (String(name[..<slash]), String(name[name.index(after: slash)...]))
    }
}

struct WorkloadsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workloads", abstract: "Show the workloads of the state in force.",
        discussion: """
            The columns are those of `istioctl ztunnel-config workloads`; -o json and -o yaml have the rest.

            EXAMPLES:
              ztun workloads -n app
              ztun workloads --node node-1
              ztun workloads app/web -o yaml
            """, aliases: ["workload", "w"])

    @OptionGroup var list: ListOptions
    @OptionGroup var filter: MeshFilter

    @Option(help: "Only those on this node.")
    var node: String?

    @Option(help: "Only those with an address that contains this.")
    var address: String?

    struct Row: Decodable {
        var namespace: String
        var name: String
        var workloadIps: [String]
        var hostname: String?
        var node: String?
        var waypointName: String
        var `protocol`: String
    }

    func run() throws {
        let (namespace, name) = filter.parts
        try list.show(
            "workloads",
            ["namespace": namespace, "name": name, "node": node ?? "", "address": address ?? ""], Row.self
        ) { rows in
            var table = Table("NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL")
            for row in rows {
                let address = row.workloadIps.isEmpty ? row.hostname ?? "" : row.workloadIps.joined(separator: ",")
                table.add(row.namespace, row.name, address, row.node ?? "", row.waypointName, row.protocol)
            }
            return table.flush
        }
    }
}

struct ServicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "Show the services of the state in force.",
        discussion: """
            The columns are those of `istioctl ztunnel-config services`; ENDPOINTS is healthy/all. The endpoints of one
            service: `ztun services NS/NAME -o yaml`.

            EXAMPLES:
              ztun services -n app
              ztun services --address 10.96.0.7
            """, aliases: ["service", "s"])

    @OptionGroup var list: ListOptions
    @OptionGroup var filter: MeshFilter

    @Option(help: "Only those with an address that contains this.")
    var address: String?

    struct Row: Decodable {
        var namespace: String
        var name: String
        var vips: [String]
        var waypointName: String
        var endpointsHealthy: Int
        var endpointsTotal: Int
    }

    func run() throws {
        let (namespace, name) = filter.parts
        try list.show(
            "services", ["namespace": namespace, "name": name, "address": address ?? ""], Row.self
        ) { rows in
            var table = Table("NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS")
            for row in rows {
                // A VIP is NETWORK/ADDRESS; people know the address.
                let vips = row.vips.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
                table.add(
                    row.namespace, row.name, vips.joined(separator: ","), row.waypointName,
                    "\(row.endpointsHealthy)/\(row.endpointsTotal)")
            }
            return table.flush
        }
    }
}

struct PoliciesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policies", abstract: "Show the authorization policies of the state in force.",
        discussion: """
            The columns are those of `istioctl ztunnel-config policies`, and whether it only pretends (dry run). The rules:
            `ztun policies NS/NAME -o yaml`.

            EXAMPLES:
              ztun policies -n app
              ztun policies app/deny-strangers -o yaml
            """, aliases: ["policy", "p"])

    @OptionGroup var list: ListOptions
    @OptionGroup var filter: MeshFilter

    struct Row: Decodable {
        var namespace: String
        var name: String
        var action: String
        var scope: String
        var dryRun: Bool
    }

    func run() throws {
        let (namespace, name) = filter.parts
        try list.show("policies", ["namespace": namespace, "name": name], Row.self) { rows in
            var table = Table("NAMESPACE", "POLICY NAME", "ACTION", "SCOPE", "DRY RUN")
            for row in rows { table.add(row.namespace, row.name, row.action, row.scope, row.dryRun ? "yes" : "no") }
            return table.flush
        }
    }
}
