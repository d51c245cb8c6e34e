"""The rule language: text to tree, tree to arrays, and the strategy that trades them.

In the order of use: `scanning` refuses hostile text, `grammar` and `parsing` make the tree, `compiling` checks types
and turns all rules of a request into one program, `evaluation` runs it on bars, `targets` derives signals.
"""
