import MeshModel
import Testing

@testable import ControlPlane

/// A file that is read again, in part, says what reading it as a whole says.
@Suite struct StateFileReaderTests {
    private static func service(_ name: String, _ extra: String = "") -> String {
        "- {name: \(name), namespace: d, hostname: \(name).example.com, vips: [], ports: {80: 80}\(extra)}\n"
    }

    private static func policy(_ name: String, _ action: String = "Deny") -> String {
        "- name: \(name)\n  namespace: d\n  scope: Namespace\n  action: \(action)\n  rules: []\n  dryRun: false\n"
    }

    private static func workload(_ name: String, node: String = "n1", _ more: String = "services: {}") -> String {
        "- name: \(name)\n  namespace: d\n  workloadIps: []\n  node: \(node)\n  \(more)\n"
    }

    /// What a state says, comparable; or the error.
    private enum Said: Equatable, CustomStringConvertible {
        case state([Workload.Fields], [Service.Fields], [String], [String])
        case error(String)

        init(_ read: () throws(ConfigurationError) -> LocalState) {
            do throws(ConfigurationError) {
                let state = try read()
                self = .state(
                    state.workloads.map(\.fields), state.services.map(\.fields),
                    state.policies.map { "\($0.key) \($0.scope) \($0.action) \($0.rules) \($0.dryRun)" }, state.warnings
                )
            } catch {
                self = .error(error.description)
            }
        }

        var description: String {
            switch self {
            case .state(let workloads, let services, let policies, let warnings):
                "\(workloads.map(\.name)) \(services.map(\.name)) \(policies) \(warnings)"
            case .error(let text): text
            }
        }
    }

    /// A reader, and what a snapshot became that was only told the differences.
    private struct Bench {
        var reader = StateFileReader(trustDomain: "cluster.local")
        var snapshot = MeshSnapshot.empty

        /// Reads the text both ways; returns how many elements the reader read, nil after an error.
        mutating func read(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> Int? {
            let bytes = Array(text.utf8)
            var last: LocalState?
            let again = Said { () throws(ConfigurationError) in
                let state = try reader.read(bytes, file: "f.yaml")
                last = state
                return state
            }
            let whole = Said { () throws(ConfigurationError) in
                try LocalState(parsing: bytes, file: "f.yaml", trustDomain: "cluster.local")
            }
            #expect(again == whole, "of\n\(text)", sourceLocation: sourceLocation)
            guard let last else { return nil }
            let before = snapshot
            snapshot = last.next(after: before)
            let expected = before.replacingAll(
                workloads: last.workloads, services: last.services, policies: last.policies)
            #expect(
                Set(snapshot.allWorkloads.map(ObjectIdentifier.init))
                    == Set(expected.allWorkloads.map(ObjectIdentifier.init)), "of\n\(text)",
                sourceLocation: sourceLocation)
            #expect(
                Set(snapshot.allServices.map(ObjectIdentifier.init))
                    == Set(expected.allServices.map(ObjectIdentifier.init)), sourceLocation: sourceLocation)
            #expect(
                Set(snapshot.allPolicies.map(ObjectIdentifier.init))
                    == Set(expected.allPolicies.map(ObjectIdentifier.init)), sourceLocation: sourceLocation)
            #expect(
                (snapshot.policyGeneration == before.policyGeneration)
                    == (expected.policyGeneration == before.policyGeneration), sourceLocation: sourceLocation)
            return reader.elementsRead
        }
    }

    private static let plain: String =
        "workloads:\n" + workload("a") + workload("b") + workload("c") + "services:\n" + service("s") + service("t")
        + "policies:\n" + policy("p") + policy("q")

    /// Edits, and how many elements must be read after them.
    private struct Edit: Sendable, CustomStringConvertible {
        let old: String
        let new: String
        var elements = 0

        init(_ old: String, _ new: String, _ elements: Int = 0) {
            self.old = old
            self.new = new
            self.elements = elements
        }

        var description: String { "\(old.debugDescription) to \(new.debugDescription)" }
    }

    private static let edits: [Edit] = [
        Edit("name: b\n", "name: b\n  hostname: b\n", 1),
        Edit(workload("b"), workload("x") + workload("b"), 1),
        Edit(workload("a"), "", 0),
        Edit(workload("c"), workload("c") + workload("x"), 1),
        Edit(workload("a") + workload("b"), workload("b") + workload("a"), 1),
        Edit(workload("a"), "# a comment\n" + workload("a"), 0),
        Edit(workload("a"), workload("a") + "# a comment\n", 1),
        Edit(workload("a"), workload("a") + "\n", 1),
        Edit("services:\n", "services:\n\n  # ones\n", 0),
        Edit(service("t"), service("t", ", canonical: true"), 1),
        Edit(policy("q"), policy("q", "Allow"), 1),
        Edit("policies:\n" + policy("p") + policy("q"), "policies: []\n", 0),
        Edit("policies:\n" + policy("p") + policy("q"), "policies:\n", 0),
        Edit("policies:\n" + policy("p") + policy("q"), "", 0),
        Edit("services:\n" + service("s") + service("t"), "", 0),
        Edit("workloads:\n" + workload("a") + workload("b") + workload("c"), "", 0),
        Edit(workload("a") + workload("b") + workload("c"), workload("x") + workload("y"), 2),
        Edit("workloads:\n", "---\n# all of them\n\nworkloads:\n", 0),
        // A name that leads nowhere, with a line that the next edit moves.
        Edit(workload("b"), workload("b", "services: {d/none.example.com: {80: 80}}"), 1),
        Edit(workload("b"), workload("b", "authorizationPolicies: [d/none]\n  services: {}"), 1),
        Edit(service("s"), "", 0),
    ]

    @Test(arguments: edits)
    private func onlyWhatIsNewIsRead(edit: Edit) throws {
        var bench = Bench()
        #expect(bench.read(Self.plain) == 7)
        let edited = Self.plain.replacing(edit.old, with: edit.new)
        #expect(bench.read(edited) == edit.elements)
        let moved = edited.replacing("workloads:\n", with: "# one line more\nworkloads:\n")
        #expect(bench.read(moved) == 0)
        #expect(bench.read(Self.plain) ?? 9 <= 4)
    }

    @Test func whatSaysTheSameStaysTheSameObjectThoughItsTextIsAnother() throws {
        var reader = StateFileReader(trustDomain: "cluster.local")
        let first = try reader.read(Array(Self.plain.utf8), file: "f")
        let again = Self.plain.replacing("node: n1\n", with: "node: \"n1\"   # quoted\n")
        let second = try reader.read(Array(again.utf8), file: "f")
        #expect(reader.elementsRead == 3)
        #expect(zip(first.workloads, second.workloads).allSatisfy { $0 === $1 })
        #expect(second.difference?.isEmpty == true)
    }

    /// Texts whose elements are not where a look at the lines finds them, or that YAML does not allow: both ways must agree
    /// on them, as an edit and as a beginning.
    private static let oddities: [Edit] = [
        // Anchors and aliases, within one element and across.
        Edit(workload("b"), "- &x {name: b, namespace: d, workloadIps: [], services: {}}\n"),
        Edit(workload("b"), workload("b", "services: &none {}") + workload("x", "services: *none")),
        Edit("workloads:\n", "workloads: &all\n"),
        Edit("workloads:\n", "workloads: !!seq\n"),
        // Documents and directives.
        Edit(workload("b"), workload("b") + "---\n"),
        Edit(workload("b"), workload("b") + "...\n"),
        Edit(workload("b"), workload("b") + "---\nworkloads:\n"),
        Edit("workloads:\n", "%YAML 1.1\n---\nworkloads:\n"),
        Edit("workloads:\n", "---\n---\nworkloads:\n"),
        // Flow style over several lines, left open too.
        Edit(workload("b"), "- {name: b, namespace: d,\n- workloadIps: [], services: {}}\n"),
        Edit(workload("b"), "- {name: b, namespace: d,\nworkloadIps: [], services: {}}\n"),
        Edit(workload("b"), "- {name: b, namespace: d, workloadIps: [], services: {}\n"),
        Edit(workload("b"), "- {name: b, namespace: d, workloadIps: [\n- ], services: {}}\n"),
        // Tabs.
        Edit("  node: n1\n", "\tnode: n1\n"),
        Edit("  node: n1\n", "  node:\tn1\n"),
        Edit(workload("b"), "\t" + workload("b")),
        Edit(workload("b"), "-\tname: b\n  namespace: d\n  workloadIps: []\n  services: {}\n"),
        // Comments in the way.
        Edit(workload("b"), "  # - name: c\n" + workload("b")),
        Edit(workload("b"), workload("b") + "# services:\n"),
        Edit("services:\n", "services: # ones\n"),
        Edit(workload("b"), "- # ones\n  name: b\n  namespace: d\n  workloadIps: []\n  services: {}\n"),
        // Block and quoted scalars that look like elements, keys, documents.
        Edit("  node: n1\n", "  node: |\n    - name: x\n    services:\n"),
        Edit("  node: n1\n", "  node: |1\n - name: x\n"),
        Edit("  node: n1\n", "  node: >-\n\n    x\n- name: x\n"),
        Edit("  node: n1\n", "  node: \"n\n- name: x\n  1\"\n"),
        Edit("  node: n1\n", "  node: 'n\nservices:\n  1'\n"),
        Edit("  node: n1\n", "  node: \"n\n"),
        Edit("  node: n1\n", "  node: n\n   1\n"),
        Edit("  node: n1\n", "  node: n\n - 1\n"),
        Edit("  node: n1\n", "  node: n\n 1\n"),
        Edit(workload("b"), "- |\n  name: b\n"),
        Edit(workload("b"), "- name: b\n"),
        // Line ends and bytes that count as one.
        Edit("  node: n1\n", "  node: n1\r\n"),
        Edit("  node: n1\n", "  node: n1\r"),
        Edit("  node: n1\n", "  node: n1 # \u{85}- name: x\n"),
        Edit("  node: n1\n", "  node: n1 # \u{2028}x\n"),
        Edit("  node: n1\n", "  node: \"\u{2029}\"\n"),
        Edit("  node: n1\n", "  node: é\n"),
        Edit("workloads:\n", "# \u{2028}\nworkloads:\n"),
        Edit("workloads:\n", "\u{feff}workloads:\n"),
        Edit("  node: n1\n", "  node: \u{0}\n"),
        // Lists within lists, explicit keys, odd columns.
        Edit(workload("b"), "- - name: b\n"),
        Edit(workload("b"), "- ? name\n  : b\n  namespace: d\n  workloadIps: []\n  services: {}\n"),
        Edit(workload("b"), "-  name: b\n   namespace: d\n   workloadIps: []\n   services: {}\n"),
        Edit(workload("b"), "-\n  name: b\n  namespace: d\n  workloadIps: []\n  services: {}\n"),
        Edit(workload("b"), " " + workload("b")),
        Edit(workload("b"), "-\n"),
        Edit(workload("b"), "- ~\n"),
        // Doubles.
        Edit(workload("b"), workload("a")),
        Edit(workload("b"), workload("b") + workload("b")),
        Edit(workload("b"), workload("b") + workload("c", node: "n2")),
        Edit(policy("q"), policy("p", "Allow")),
        Edit("services:\n", "workloads:\n"),
        Edit("services:\n", "others:\n"),
        Edit("services:\n", "\"services\":\n"),
        Edit("services:\n", "services :\n"),
        Edit("services:\n", "services: []\n"),
        Edit("services:\n", "services: ~\n"),
        // The end.
        Edit(plain, ""),
        Edit(plain, "\n"),
        Edit(plain, "# nothing\n"),
        Edit(plain, "workloads:"),
        Edit(plain, "workloads: []"),
        Edit(plain, "{}"),
        Edit(plain, "workloads:\n" + workload("a") + "- name: b"),
    ]

    @Test(arguments: oddities)
    private func bothWaysAgree(on edit: Edit) throws {
        let edited = Self.plain.replacing(edit.old, with: edit.new)
        var bench = Bench()
        _ = bench.read(Self.plain)
        _ = bench.read(edited)
        _ = bench.read(Self.plain)
        _ = bench.read(edited + "# more\n")
        // Every element but one has changed before: each is fresh beside the edited text.
        _ = bench.read(edited.replacing("node: n1\n", with: "node: n2\n"))
        var other = Bench()
        _ = other.read(edited)
        _ = other.read(edited.replacing("name: c\n", with: "name: c\n  hostname: h\n"))
        _ = other.read(Self.plain)
    }

    /// Indented lists are as plain as others.
    @Test func listsMayBeIndented() throws {
        let text = Self.plain.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("-") || line.hasPrefix(" ") ? "  \(line)" : "\(line)"
        }.joined(separator: "\n")
        var bench = Bench()
        #expect(bench.read(text) == 7)
        #expect(bench.read(text.replacing("name: b", with: "name: x")) == 1)
        #expect(bench.read(Self.plain) == 7)
        #expect(bench.read(text) == 7)
    }

    @Test func aLimitOfValuesCountsWhatIsNotReadAgain() throws {
        var limits = YAMLLimits()
        let two = Array(("workloads:\n" + Self.workload("a") + Self.workload("b")).utf8)
        let three = two + Array(Self.workload("c").utf8)
        // The root, the key, the list, and 11 to each of two.
        limits.nodes = 25
        var reader = StateFileReader(trustDomain: "cluster.local", limits: limits)
        _ = try reader.read(two, file: "f.yaml")
        #expect(throws: ConfigurationError.self) { try reader.read(three, file: "f.yaml") }
        limits.nodes = 36
        reader = StateFileReader(trustDomain: "cluster.local", limits: limits)
        _ = try reader.read(two, file: "f.yaml")
        #expect(try reader.read(three, file: "f.yaml").workloads.count == 3)
        #expect(reader.elementsRead == 1)
    }

    @Test func aBrokenEditIsForgottenAndTheNextOneReadInPart() throws {
        var bench = Bench()
        _ = bench.read(Self.plain)
        #expect(bench.read(Self.plain.replacing("name: b\n", with: "nmae: b\n")) == nil)
        #expect(bench.read(Self.plain.replacing("name: b\n", with: "name: x\n")) == 1)
    }

    /// Random edits one after the other, of lines, elements and bytes.
    @Test(arguments: 0..<24)
    func anyEditIsReadAsAWholeReadingReadsIt(seed: Int) throws {
        var random = Dice(UInt64(seed))
        var bench = Bench()
        var lines = Self.plain.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if seed.isMultiple(of: 3) { lines = lines.map { $0.hasPrefix("-") || $0.hasPrefix(" ") ? "  \($0)" : $0 } }
        _ = bench.read(lines.joined(separator: "\n"))
        var inPart = 0
        var good = lines
        for _ in 0..<40 {
            for _ in 0...random.below(2) { Self.edit(&lines, &random) }
            let said = bench.read(lines.joined(separator: "\n"))
            if let said, said < bench.snapshot.workloadCount { inPart += 1 }
            // Most edits break the text: go on from the last good one, though not at once.
            if said != nil { good = lines } else if random.below(3) > 0 { lines = good }
            if lines.count > 120 || lines.count < 5 { lines = Self.plain.split(separator: "\n").map(String.init) }
        }
        #expect(inPart > 0, "only \(inPart) texts were read in part")
    }

    private static func edit(_ lines: inout [String], _ random: inout Dice) {
        let at = random.below(lines.count)
        switch random.below(12) {
        case 0: lines.remove(at: at)
        case 1: lines.insert(lines[at], at: random.below(lines.count))
        case 2: lines.swapAt(at, random.below(lines.count))
        case 3: lines.insert("  # - name: x", at: at)
        case 4: lines.insert("", at: at)
        case 5...9:
            let number = random.below(6)
            let element =
                random.below(2) == 0
                ? workload("w\(number)", node: "n\(random.below(3))")
                : workload("w\(number)", "services: {d/s.example.com: {80: \(1 + random.below(9))}}")
            // Mostly where an element begins; anywhere else it breaks the one it stands in.
            let starts = lines.indices.filter { lines[$0].hasPrefix("- ") }
            let place = random.below(8) == 0 || starts.isEmpty ? at : starts[random.below(starts.count)]
            lines.insert(contentsOf: element.split(separator: "\n").map(String.init), at: place)
        default:
            var bytes = Array(lines[at].utf8)
            let alphabet = Array("-: #&*|>'\"{}[]\t!%?,~x0\r".utf8)
            if bytes.isEmpty { bytes = [32] }
            let place = random.below(bytes.count)
            switch random.below(3) {
            case 0: bytes.remove(at: place)
            case 1: bytes.insert(alphabet[random.below(alphabet.count)], at: place)
            default: bytes[place] = alphabet[random.below(alphabet.count)]
            }
            lines[at] = String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Random numbers that repeat (SplitMix64).
    private struct Dice {
        private var state: UInt64

        init(_ seed: UInt64) { state = seed }

        mutating func below(_ limit: Int) -> Int {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Int((mixed ^ (mixed >> 31)) % UInt64(max(1, limit)))
        }
    }
}
