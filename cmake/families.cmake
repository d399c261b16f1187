# Which families of models are built in: sets `families` to those of WIMM_FAMILIES, or to all that the catalogue offers.
set(WIMM_FAMILIES "" CACHE STRING "modules of timm whose models can be created, a list; empty: all")

set(modules_json ${CMAKE_CURRENT_LIST_DIR}/../src/catalogue/modules.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${modules_json})
file(READ ${modules_json} MODULES_JSON)
string(REGEX MATCHALL "[a-z0-9_]+" families "${MODULES_JSON}")

foreach(family IN LISTS WIMM_FAMILIES)
  if(NOT family IN_LIST families)
    message(FATAL_ERROR "WIMM_FAMILIES: there is no family ${family}; src/catalogue/modules.json lists them")
  endif()
endforeach()

if(WIMM_FAMILIES)
  set(families ${WIMM_FAMILIES})
  list(JOIN families "\", \"" quoted)
  set(MODULES_JSON "[\"${quoted}\"]")
endif()
