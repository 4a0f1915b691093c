"""The code that models the built-in head. Millimetres here; needs SciPy; the product never runs it.

`field` is the sculpture: a signed distance made of smoothly joined forms. `lay` puts a mesh with
edge loops on it. The other files model the parts that need their own curves, and `expressions`,
`weights` and `identity` make them move.
"""
