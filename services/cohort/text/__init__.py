"""How do people write a rule? The text form: `parse` reads it, `format` writes the one canonical text.

    grammar.lark   which texts are rules
    words          the words of the language, and how names and values are written
    tokens         a text's tokens, each word told apart by what stands around it
    parse          text → cohort.v1.Rule, with the place in the text of every field
    mistakes       what is wrong, with a caret under the place, and what was expected
    format         Rule → text

Not for: what a rule may hold. That is `services.cohort.translate`, for rules in any form.
"""
