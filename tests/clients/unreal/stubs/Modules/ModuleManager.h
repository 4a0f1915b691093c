#pragma once
struct FDefaultModuleImpl {};
#define IMPLEMENT_MODULE(Class, Name) [[maybe_unused]] static Class Name##Module;
