import Testing

@testable import ControlPlane

@Suite struct YAMLDocumentTests {
    @Test(
        arguments: [
            ("null", .null), ("~", .null), ("Null", .null), ("nULL", .text), ("true", .bool), ("True", .bool),
            ("yes", .text), ("on", .text), ("0", .integer), ("-12", .integer), ("+7", .integer), ("0x1F", .integer),
            ("0o17", .integer), ("0o18", .text), ("017", .integer), ("1.5", .float), (".5", .float), ("5.", .float),
            ("1e3", .float), ("1e", .text), ("-", .text), ("+", .text), (".", .text), ("-.inf", .float),
            (".NaN", .float),
            ("10.0.0.1", .text), ("2001:db8::1", .text), ("1_000", .text), ("12:30", .text), ("0x", .text),
            ("-.", .text),
        ] as [(String, YAMLScalar.Kind)])
    func plainScalarsFollowTheCoreSchema(text: String, type: YAMLScalar.Kind) {
        #expect(YAMLScalar(text, plain: true).type == type)
        #expect(YAMLScalar(text, plain: false).type == .text)
    }

    @Test func numbersHaveTheirValue() {
        #expect(YAMLScalar("0x1F", plain: true).integer == 31)
        #expect(YAMLScalar("0o17", plain: true).integer == 15)
        #expect(YAMLScalar("-12", plain: true).integer == -12)
        #expect(YAMLScalar("99999999999999999999", plain: true).integer == nil)
        #expect(YAMLScalar("TRUE", plain: true).bool == true)
        #expect(YAMLScalar("False", plain: true).bool == false)
        #expect(YAMLScalar("true", plain: false).bool == nil)
    }

    @Test func nodesKnowTheirPlace() throws {
        let root = try document("a: 1\nb:\n  - x\n  - {c: d}\n")
        guard case .mapping(let entries) = root.content, case .sequence(let items) = entries[1].value.content,
            case .mapping(let inner) = items[1].content
        else {
            Issue.record("wrong shape")
            return
        }
        #expect(entries.map(\.key) == ["a", "b"])
        #expect((entries[1].line, entries[1].column) == (2, 1))
        #expect((items[1].line, items[1].column) == (4, 5))
        #expect((inner[0].value.line, inner[0].value.column) == (4, 9))
    }

    @Test func aliasesStandForWhatTheyName() throws {
        let root = try document("a: &x [1, 2]\nb: *x\n")
        guard case .mapping(let entries) = root.content, case .sequence(let items) = entries[1].value.content else {
            Issue.record("wrong shape")
            return
        }
        #expect(items.count == 2)
    }

    @Test func jsonIsYAML() throws {
        let root = try document(#"{"a": [1, "x", null, true], "b": {"c": "é"}}"#)
        guard case .mapping(let entries) = root.content else {
            Issue.record("wrong shape")
            return
        }
        #expect(entries.map(\.key) == ["a", "b"])
    }

    @Test(arguments: [
        ("", "f.yaml: the file is empty"),
        ("# only this\n", "f.yaml: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml: the key 'a' is given twice at line 3, column 1; first at line 1"),
        (
            "a: [1\nb: 2\n",
            "f.yaml: not YAML: while parsing a flow sequence: did not find expected ',' or ']' at line 2, column 2"
        ),
        ("a: *x\n", "f.yaml: the alias '*x' names no anchor at line 1, column 4"),
        ("a: &x [*x]\n", "f.yaml: the alias '*x' stands inside what it names at line 1, column 8"),
        ("? [a]\n: 1\n", "f.yaml: a list stands where a key is expected at line 1, column 3"),
        ("a: !secret x\n", "f.yaml: the tag '!secret' is not supported at line 1, column 4"),
        ("a: 1\n---\nb: 2\n", "f.yaml: a second document starts at line 3; put everything under one '---'"),
        ("a: \u{1}\n", "f.yaml: not YAML text: control characters are not allowed at byte 3"),
    ])
    func faultsHaveAPlace(text: String, expected: String) {
        #expect(errorText { () throws(ConfigurationError) in try document(text) } == expected)
    }

    @Test func duplicatesAreFoundInLargeMappings() {
        let text = (0..<40).map { "key\($0): 1\n" }.joined() + "key3: 2\n"
        #expect(
            errorText { () throws(ConfigurationError) in try document(text) }
                == "f.yaml: the key 'key3' is given twice at line 41, column 1; first at line 4")
    }

    @Test func bytesThatAreNotTextAreRefused() {
        let text = errorText { () throws(ConfigurationError) in
            try YAMLDocument.parse([0x61, 0x3a, 0x20, 0xff, 0xfe], file: "f.yaml")
        }
        #expect(text?.hasPrefix("f.yaml: not YAML text: ") == true)
    }

    @Test func limitsHold() {
        var limits = YAMLLimits()
        limits.depth = 3
        #expect(errorText { () throws(ConfigurationError) in try document("[[[1]]]", limits: limits) } == nil)
        #expect(
            errorText { () throws(ConfigurationError) in try document("[[[[1]]]]", limits: limits) }
                == "f.yaml: more than 3 levels of nesting at line 1, column 4")
        limits = YAMLLimits()
        limits.aliases = 2
        #expect(
            errorText { () throws(ConfigurationError) in try document("[&a x, *a, *a, *a]", limits: limits) }
                == "f.yaml: more than 2 aliases at line 1, column 16")
        limits = YAMLLimits()
        limits.bytes = 4
        #expect(
            errorText { () throws(ConfigurationError) in try document("abcde", limits: limits) }
                == "f.yaml: the file has 5 bytes; at most 4 are read")
    }

    @Test func anchorsCannotMultiplyWithoutEnd() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for i in 1..<12 {
            text += "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        let error = errorText { () throws(ConfigurationError) in try document(text) }
        #expect(error?.contains("more than 16000000 values at line 8") == true)
    }

    @Test func deepNestingOfAnyKindIsBounded() {
        let text = String(repeating: "[", count: 100_000)
        #expect(
            errorText { () throws(ConfigurationError) in try document(text) }
                == "f.yaml: more than 64 levels of nesting at line 1, column 65")
    }

    @Test func severalDocumentsCanBeRead() throws {
        let nodes = try YAMLDocument.parseAll(Array("a: 1\n---\n---\nb: 2\n".utf8), file: "f.yaml")
        #expect(nodes.count == 2)
        #expect(nodes[1].line == 4)
    }
}
