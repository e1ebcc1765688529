import MeshModel
import Testing

@testable import ControlPlane

@Suite struct StreamedStateTests {
    static func workload(_ name: String, node: String = "n1") -> String {
        """
        - name: \(name)
          namespace: default
          workloadIps: []
          node: \(node)
          services: {default/a-service-with-a-long-name.example.com: {80: 8080}}

        """
    }

    static func state(_ text: String, previous: LocalState = LocalState()) throws(ConfigurationError) -> LocalState {
        try LocalState(parsing: Array(text.utf8), file: "f.yaml", trustDomain: "cluster.local", previous: previous)
    }

    @Test func whatSaysTheSameIsTheSameObject() throws {
        let head = "workloads:\n"
        let tail = """
            services:
            - {name: s, namespace: default, hostname: a-service-with-a-long-name.example.com, vips: [], ports: {80: 80}}
            policies:
            - {name: p, namespace: default, scope: Namespace, action: Deny, rules: [], dryRun: false}
            """
        let first = try Self.state(head + Self.workload("a") + Self.workload("b") + Self.workload("c") + tail)
        let second = try Self.state(
            head + Self.workload("a") + Self.workload("b", node: "n2") + Self.workload("c") + tail, previous: first)
        #expect(second.workloads[0] === first.workloads[0])
        #expect(second.workloads[1] !== first.workloads[1] && second.workloads[1].fields.node == "n2")
        #expect(second.workloads[2] === first.workloads[2])
        #expect(second.services[0] === first.services[0])
        #expect(second.policies[0] === first.policies[0])
        let third = try Self.state(
            head + Self.workload("c") + Self.workload("d") + Self.workload("a") + tail, previous: second)
        #expect(third.workloads.map(\.fields.name) == ["c", "d", "a"])
        #expect(third.workloads[0] === first.workloads[2] && third.workloads[2] === first.workloads[0])
    }

    @Test func aReloadWithoutAChangeChangesNothing() throws {
        let policy = "policies:\n- {name: p, namespace: d, scope: Global, action: Deny, rules: [], dryRun: false}\n"
        let text = "workloads:\n" + Self.workload("a") + policy
        let first = try Self.state(text)
        let snapshot = MeshSnapshot.empty.replacingAll(
            workloads: first.workloads, services: first.services, policies: first.policies)
        let second = try Self.state(text, previous: first)
        let next = snapshot.replacingAll(
            workloads: second.workloads, services: second.services, policies: second.policies)
        #expect(next.policyGeneration == snapshot.policyGeneration)
        #expect(next.workload(namespace: "default", name: "a") === snapshot.workload(namespace: "default", name: "a"))
    }

    @Test(arguments: [
        "workloads: &all\n" + workload("a") + workload("b"),
        "workloads: !!seq\n" + workload("a") + workload("b"),
        "{workloads: [{name: a, namespace: d, workloadIps: [], services: {}}, {name: b, namespace: d, workloadIps: [], services: {}}]}",
        "workloads:\n- &one {name: a, namespace: d, workloadIps: [], services: &none {}}\n- {name: b, namespace: d, workloadIps: [], services: *none}\n",
    ])
    func listsArriveHoweverTheyAreWritten(text: String) throws {
        #expect(try Self.state(text).workloads.map(\.fields.name) == ["a", "b"])
    }

    @Test(arguments: [
        ("workloads:\n" + workload("a") + "- 1\n", "f.yaml: workloads[1]: expected a mapping"),
        ("workloads: &x\n" + workload("a") + "- 1\n", "f.yaml: workloads[1]: expected a mapping"),
        ("workloads:\n" + workload("a") + workload("a"), "is defined twice"),
        ("workloads:\n" + workload("a") + "---\nworkloads:\n" + workload("a"), "a second document starts at line 8"),
        ("workloads:\n" + workload("a") + "others:\n- {}\n", "unknown key \"others\""),
        ("workloads:\n" + workload("a") + "workloads:\n- {}\n", "the key \"workloads\" is given twice"),
        ("workloads:\n" + workload("a") + "- name: [\n", "not YAML"),
        ("- " + "a: 1\n", "expected a mapping"),
        ("---\n---\n", "the file is empty"),
    ])
    func faultsAreFoundAnywhere(text: String, expected: String) {
        do throws(ConfigurationError) {
            _ = try Self.state(text)
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.description.replacing("'", with: "\"").contains(expected), "\(error.description)")
        }
    }
}
