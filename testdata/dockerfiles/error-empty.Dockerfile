
# expect: error
