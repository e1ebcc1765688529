internal import CYaml

/// Turns libyaml's events into nodes; lives for one text, which it does not own.
///
/// With ``handsOutItems`` the elements of the lists directly under the root mapping are given away as they are complete,
/// so that a long list is never whole in memory; in the root that follows such a list is empty. A list with an anchor
/// stays whole, since it may be named again.
struct YAMLComposer: ~Copyable {
    /// What the text holds next.
    enum Step {
        case item(YAMLItem)
        /// The root of a document that is not empty.
        case document(YAMLNode)
        case end
    }
    /// A finished subtree under its anchor, and how many values it counts for.
    private struct Anchor {
        var node: YAMLNode
        var nodes: Int
    }
    /// A mapping or list that is still open.
    private struct Level {
        var isMapping: Bool
        var anchor: String?
        var line: Int32
        var column: Int32
        /// The node count when it was opened.
        var startNodes: Int
        var items: [YAMLNode] = []
        /// Elements given away instead of kept in ``items``.
        var handedOut = 0
        /// The node count when the last of them was complete.
        var handedNodes = 0
        var entries: [YAMLNode.Entry] = []
        var pendingKey: (text: String, line: Int32, column: Int32)?
        /// Keys seen, once there are too many to compare one by one.
        var keys: Set<String> = []
    }

    // At a stable address: libyaml keeps pointers into its own parser struct.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let file: String
    private let limits: YAMLLimits
    private let handsOutItems: Bool
    private var completedItem: YAMLItem?
    private var levels: [Level] = []
    private var anchors: [String: Anchor] = [:]
    private var openAnchors: Set<String> = []
    private var aliases = 0
    private var nodes = 0

    init(input: UnsafeBufferPointer<UInt8>, file: String, limits: YAMLLimits, handsOutItems: Bool = false) {
        self.file = file
        self.handsOutItems = handsOutItems
        self.limits = limits
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        // Fails only without memory; parsing then fails with a message of its own.
        _ = yaml_parser_initialize(parser)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// All documents of the text that are not empty.
    mutating func documents() throws(ConfigurationError) -> [YAMLNode] {
        var documents: [YAMLNode] = []
        while case .document(let root) = try next() { documents.append(root) }
        return documents
    }

    /// The next item or document; after the end it must not be called again.
    mutating func next() throws(ConfigurationError) -> Step {
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) != 0 else { throw scannerError() }
            defer { yaml_event_delete(&event) }
            switch event.type {
            case YAML_STREAM_END_EVENT:
                return .end
            case YAML_DOCUMENT_START_EVENT:
                (anchors, openAnchors, aliases, nodes) = ([:], [], 0, 0)
            case YAML_SCALAR_EVENT, YAML_ALIAS_EVENT, YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT,
                YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
                if let root = try take(event), !root.isNull { return .document(root) }
                if let item = completedItem {
                    completedItem = nil
                    return .item(item)
                }
            default:
                break
            }
        }
    }

    /// Takes one event; returns the document's root when the event completed it.
    private mutating func take(_ event: yaml_event_t) throws(ConfigurationError) -> YAMLNode? {
        let line = Int32(clamping: event.start_mark.line + 1)
        let column = Int32(clamping: event.start_mark.column + 1)
        switch event.type {
        case YAML_SCALAR_EVENT:
            try count(1, line, column)
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            let text = String(decoding: bytes, as: UTF8.self)
            let plain = try isPlain(scalar, line, column)
            let node = YAMLNode(content: .scalar(YAMLScalar(text, plain: plain)), line: line, column: column)
            if let anchor = Self.text(scalar.anchor) { anchors[anchor] = Anchor(node: node, nodes: 1) }
            return try add(node)
        case YAML_ALIAS_EVENT:
            return try add(resolve(Self.text(event.data.alias.anchor) ?? "", line, column))
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            try open(isMapping: false, anchor: Self.text(start.anchor), tag: Self.text(start.tag), line, column)
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            try open(isMapping: true, anchor: Self.text(start.anchor), tag: Self.text(start.tag), line, column)
        default:
            return try close()
        }
        return nil
    }

    private mutating func open(
        isMapping: Bool, anchor: String?, tag: String?, _ line: Int32, _ column: Int32
    ) throws(ConfigurationError) {
        guard levels.count < limits.depth else {
            throw error(line, column, "more than \(limits.depth) levels of nesting")
        }
        if let tag, tag != "!", tag != "tag:yaml.org,2002:\(isMapping ? "map" : "seq")" {
            throw error(line, column, "the tag \(tag.quoted) is not supported")
        }
        if let top = levels.last, top.isMapping, top.pendingKey == nil {
            throw error(line, column, "a \(isMapping ? "mapping" : "list") stands where a key is expected")
        }
        let start = nodes
        try count(1, line, column)
        if let anchor { openAnchors.insert(anchor) }
        levels.append(
            Level(
                isMapping: isMapping, anchor: anchor, line: line, column: column, startNodes: start, handedNodes: nodes)
        )
    }

    private mutating func close() throws(ConfigurationError) -> YAMLNode? {
        guard let level = levels.popLast() else { return nil }
        let node = YAMLNode(
            content: level.isMapping ? .mapping(level.entries) : .sequence(level.items), line: level.line,
            column: level.column)
        if let anchor = level.anchor {
            openAnchors.remove(anchor)
            anchors[anchor] = Anchor(node: node, nodes: nodes - level.startNodes)
        }
        return try add(node)
    }

    /// Puts a finished node where it belongs; returns it when it is the root.
    private mutating func add(_ node: YAMLNode) throws(ConfigurationError) -> YAMLNode? {
        guard !levels.isEmpty else { return node }
        let top = levels.count - 1
        guard levels[top].isMapping else {
            if handsOutItems, top == 1, levels[1].anchor == nil, let key = levels[0].pendingKey?.text {
                completedItem = YAMLItem(
                    key: key, index: levels[1].handedOut, node: node, values: nodes - levels[1].handedNodes,
                    followsAnchors: aliases > 0 || !anchors.isEmpty)
                levels[1].handedOut += 1
                levels[1].handedNodes = nodes
            } else {
                levels[top].items.append(node)
            }
            return nil
        }
        if let key = levels[top].pendingKey {
            levels[top].pendingKey = nil
            levels[top].entries.append(
                YAMLNode.Entry(key: key.text, line: key.line, column: key.column, value: node))
            return nil
        }
        guard case .scalar(let scalar) = node.content else {
            throw error(node.line, node.column, "\(node.kind) stands where a key is expected")
        }
        if let other = duplicate(of: scalar.text, in: top) {
            throw error(
                node.line, node.column, "the key \(scalar.text.quoted) is given twice",
                hint: "first at line \(other)")
        }
        levels[top].pendingKey = (scalar.text, node.line, node.column)
        return nil
    }

    /// The line of an earlier key of the same text.
    private mutating func duplicate(of key: String, in top: Int) -> Int32? {
        let entries = levels[top].entries
        if entries.count < 16 { return entries.first { $0.isKey(key) }?.line }
        if levels[top].keys.isEmpty { levels[top].keys = Set(entries.map(\.key)) }
        return levels[top].keys.insert(key).inserted ? nil : entries.first { $0.key == key }?.line
    }

    private mutating func resolve(_ name: String, _ line: Int32, _ column: Int32) throws(ConfigurationError) -> YAMLNode
    {
        aliases += 1
        guard aliases <= limits.aliases else {
            throw error(line, column, "more than \(limits.aliases) aliases")
        }
        guard let anchor = anchors[name], !openAnchors.contains(name) else {
            let inside = openAnchors.contains(name)
            throw error(
                line, column,
                "the alias \(("*" + name).quoted) \(inside ? "stands inside what it names" : "names no anchor")")
        }
        try count(anchor.nodes, line, column)
        return anchor.node
    }

    private mutating func count(_ more: Int, _ line: Int32, _ column: Int32) throws(ConfigurationError) {
        nodes += more
        guard nodes <= limits.nodes else { throw error(line, column, "more than \(limits.nodes) values") }
    }

    /// Whether the scalar's type follows from its text, as for unquoted ones.
    private func isPlain(
        _ scalar: yaml_event_s.__Unnamed_union_data.__Unnamed_struct_scalar, _ line: Int32, _ column: Int32
    ) throws(ConfigurationError) -> Bool {
        switch Self.text(scalar.tag) {
        case nil: return scalar.style == YAML_PLAIN_SCALAR_STYLE
        case "!", "tag:yaml.org,2002:str": return false
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:null":
            return true
        case let tag?: throw error(line, column, "the tag \(tag.quoted) is not supported")
        }
    }

    private func scannerError() -> ConfigurationError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not enough memory"
        let context = parser.pointee.context.map { String(cString: $0) + ": " } ?? ""
        // The reader's own faults (bytes that are not UTF-8, control characters) carry an offset, not a mark.
        if parser.pointee.error == YAML_READER_ERROR {
            return ConfigurationError(
                file: file, problem: "not YAML text: \(problem) at byte \(parser.pointee.problem_offset)")
        }
        let mark = parser.pointee.problem_mark
        return error(Int32(clamping: mark.line + 1), Int32(clamping: mark.column + 1), "not YAML: \(context)\(problem)")
    }

    private func error(_ line: Int32, _ column: Int32, _ problem: String, hint: String? = nil) -> ConfigurationError {
        ConfigurationError(file: file, line: Int(line), column: Int(column), problem: problem, hint: hint)
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}

extension YAMLNode {
    /// True for an empty value, `~` and `null`.
    package var isNull: Bool {
        if case .scalar(let scalar) = content { scalar.type == .null } else { false }
    }
}
