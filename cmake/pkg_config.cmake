# SPDX-License-Identifier: MIT
# Writes and installs the pkg-config files. They find the headers from their own place, since
# `cmake --install --prefix` may put both elsewhere than was configured.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" PC_TO_PREFIX ${PC_TO_PREFIX})
set(PC_INCLUDEDIR "\${prefix}")
cmake_path(APPEND PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
set(pc_files mnv3-config)

if(MNV3_WITH_TORCH)
  list(APPEND pc_files mnv3)
  list(GET TORCH_INCLUDE_DIRS 0 PC_TORCH_INCLUDEDIR)
  cmake_path(GET TORCH_LIBRARY PARENT_PATH PC_TORCH_LIBDIR)
  set(PC_OPENMP ${OpenMP_CXX_FLAGS})
  set(PC_TORCH_CFLAGS ${TORCH_CXX_FLAGS})
  foreach(dir IN LISTS TORCH_INCLUDE_DIRS)
    # The compiler's own folder, given again, would come in the wrong order.
    if(NOT dir IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
      string(APPEND PC_TORCH_CFLAGS " -isystem${dir}")
    endif()
  endforeach()
  string(REPLACE "-isystem${PC_TORCH_INCLUDEDIR}" "-isystem\${torch_includedir}" PC_TORCH_CFLAGS
                 "${PC_TORCH_CFLAGS}")
endif()
if(TARGET mnv3_vision)
  list(APPEND pc_files mnv3-vision)
endif()
if(TARGET mnv3_hub)
  list(APPEND pc_files mnv3-hub)
endif()

foreach(name IN LISTS pc_files)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${pc_dir})
endforeach()
