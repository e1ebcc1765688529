internal import MeshModel

/// Regular expressions of the kind that people write most: literal text, with `.*` at one end, or several literal texts
/// of which any may be. No others are understood; whoever asks must say so.
enum SimplePattern {
    /// What a whole-text match of the expression means; nil for one that is not of this kind.
    static func read(_ text: String) -> StringMatch? {
        var body = Substring(text)
        if body.hasPrefix("^") { body = body.dropFirst() }
        if body.hasSuffix("$"), !body.hasSuffix("\\$") { body = body.dropLast() }
        let begins = body.hasPrefix(".*")
        if begins { body = body.dropFirst(2) }
        let ends = body.hasSuffix(".*") && !body.hasSuffix("\\.*")
        if ends { body = body.dropLast(2) }
        guard let literal = literal(body) else { return nil }
        switch (begins, ends) {
        case (false, false): return .exact(literal)
        case (false, true): return .prefix(literal)
        case (true, false): return literal.isEmpty ? .prefix("") : .suffix(literal)
        case (true, true): return literal.isEmpty ? .prefix("") : nil
        }
    }

    /// The texts of `a|b|c` or `(a|b|c)`; nil where one of them is no literal.
    static func alternatives(_ text: String) -> [String]? {
        var body = Substring(text)
        if body.hasPrefix("^") { body = body.dropFirst() }
        if body.hasSuffix("$"), !body.hasSuffix("\\$") { body = body.dropLast() }
        if body.hasPrefix("("), body.hasSuffix(")"), !body.hasSuffix("\\)") { body = body.dropFirst().dropLast() }
        if body.hasPrefix("?:") { body = body.dropFirst(2) }
        let parts = body.split(separator: "|", omittingEmptySubsequences: false).map(literal)
        return parts.contains(nil) ? nil : parts.compactMap(\.self)
    }

    private static func literal(_ text: Substring) -> String? {
        var result = ""
        var isEscaped = false
        for character in text {
            if isEscaped {
                // `\d` and its like are classes.
                guard !character.isLetter, !character.isNumber else { return nil }
                result.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                guard !".[](){}*+?|^$".contains(character) else { return nil }
                result.append(character)
            }
        }
        return isEscaped ? nil : result
    }
}
