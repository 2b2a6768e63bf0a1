# Writes OUTPUT, a C++ source with the page's style sheet and scripts as text.
# Arguments: PAGE (folder of our files), OUTPUT, and for charts: VEGA (folder of Vega's modules), MODULES (their names,
# separated by commas), LICENCE (file with the copyright notices; may be empty).
function(text_of file out)
  file(READ "${file}" text)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

set(source "// Written by the build: see reports/page/embed.cmake.\n#include \"reports/page.h\"\n\nnamespace plumbline::reports {\nnamespace {\n\n")

# A raw literal each; the adjacent ones of the library become one text.
set(library "\"\"")
if(VEGA)
  text_of("${PAGE}/modules.js" loader)
  set(library "R\"page~(${loader})page~\"")
  if(LICENCE)
    text_of("${LICENCE}" notices)
    string(REPLACE "*/" "* /" notices "${notices}")
    string(APPEND library "\n    R\"page~(/*\nVega, with parts of D3, as packaged by Debian:\n\n${notices}*/\n)page~\"")
  endif()
  string(REPLACE "," ";" names "${MODULES}")
  foreach(name IN LISTS names)
    text_of("${VEGA}/${name}.min.js" module)
    string(REGEX REPLACE "\n//# sourceMappingURL=[^\n]*" "" module "${module}")
    set(required "${name}")
    if(name STREQUAL "vega-selection")  # the module's name, unlike its file's
      set(required "vega-selections")
    endif()
    string(APPEND library "\n    R\"page~(modules.define('${required}', (exports, require, module) => {\n)page~\""
      "\n    R\"page~(${module})page~\"\n    R\"page~(\n});\n)page~\"")
  endforeach()
endif()

text_of("${PAGE}/style.css" style)
text_of("${PAGE}/charts.js" charts)
text_of("${PAGE}/page.js" page)
string(APPEND source "constexpr char kLibrary[] =\n    ${library};\n"
  "constexpr char kStyle[] = R\"page~(${style})page~\";\n"
  "constexpr char kScript[] =\n    R\"page~(${charts})page~\"\n    R\"page~(${page})page~\";\n\n}  // namespace\n\n"
  "std::string_view chart_library() { return {kLibrary, sizeof kLibrary - 1}; }\n"
  "std::string_view page_style() { return {kStyle, sizeof kStyle - 1}; }\n"
  "std::string_view page_script() { return {kScript, sizeof kScript - 1}; }\n\n}  // namespace plumbline::reports\n")
file(WRITE "${OUTPUT}" "${source}")
