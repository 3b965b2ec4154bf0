# nothing
# expect: error
