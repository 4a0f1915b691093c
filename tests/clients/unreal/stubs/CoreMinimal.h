// As much of Unreal as PosetalkComponent uses, as declarations: a check of the spelling, not of the engine.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using int32 = std::int32_t;
using int64 = std::int64_t;
using uint8 = std::uint8_t;
using uint32 = std::uint32_t;
using uint64 = std::uint64_t;
using SIZE_T = std::size_t;
using TCHAR = char16_t;

#define TEXT(x) u##x
#define POSETALK_API
#define UCLASS(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define GENERATED_BODY() using Super = UActorComponent;
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE(Name) struct Name { void Broadcast() {} }
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(Name, A, a, B, b) struct Name { void Broadcast(A, B) {} }
#define DEFINE_LOG_CATEGORY_STATIC(Name, Level, Most) struct Name {}
#define UE_LOG(Category, Level, Format, ...) ((void)sizeof(Category), (void)FString::Printf(Format, ##__VA_ARGS__))
#define ANSI_TO_TCHAR(x) FString(x).Data()
#define UTF8_TO_TCHAR(x) FString(x).Data()
#define TCHAR_TO_UTF8(x) FString(x).Narrow().c_str()
constexpr int32 INDEX_NONE = -1;

template <class T> class TArray
{
	std::vector<T> It;

public:
	int32 Num() const { return int32(It.size()); }
	void Reset() { It.clear(); }
	void Append(const T* Data, int32 Count) { It.insert(It.end(), Data, Data + Count); }
	void Add(T Value) { It.push_back(std::move(Value)); }
	T* GetData() { return It.data(); }
	const T* GetData() const { return It.data(); }
	T& operator[](int32 At) { return It[std::size_t(At)]; }
	const T& operator[](int32 At) const { return It[std::size_t(At)]; }
	int32 IndexOfByKey(const T& Key) const
	{
		const auto Found = std::find(It.begin(), It.end(), Key);
		return Found == It.end() ? INDEX_NONE : int32(Found - It.begin());
	}
	auto begin() const { return It.begin(); }
	auto end() const { return It.end(); }
};

class FString
{
	std::u16string It;

public:
	FString() = default;
	FString(const TCHAR* Text) : It(Text) {}
	explicit FString(const char* Text) : It(Text, Text + std::char_traits<char>::length(Text)) {}
	const TCHAR* operator*() const { return It.c_str(); }
	const TCHAR* Data() const { return It.c_str(); }
	bool IsEmpty() const { return It.empty(); }
	std::string Narrow() const { return std::string(It.begin(), It.end()); }
	FString Replace(const TCHAR*, const TCHAR*) const { return *this; }
	template <class... A> static FString Printf(const TCHAR* Format, A...) { return FString(Format); }
	friend FString operator+(const TCHAR* A, const FString& B) { FString R(A); R.It += B.It; return R; }
	friend FString operator+(FString A, const FString& B) { A.It += B.It; return A; }
	friend FString operator+(FString A, const TCHAR* B) { A.It += B; return A; }
	bool operator==(const FString& Other) const { return It == Other.It; }
	bool operator==(const TCHAR* Other) const { return It == Other; }
	bool operator<(const FString& Other) const { return It < Other.It; }
};

using FName = FString;

template <class K, class V> class TMap
{
	std::map<K, V> It;

public:
	void Add(const K& Key, const V& Value) { It[Key] = Value; }
	const V* Find(const K& Key) const
	{
		const auto Found = It.find(Key);
		return Found == It.end() ? nullptr : &Found->second;
	}
};

template <class T> class TSharedPtr
{
	std::shared_ptr<T> It;

public:
	TSharedPtr() = default;
	TSharedPtr(std::shared_ptr<T> Value) : It(std::move(Value)) {}
	bool IsValid() const { return It != nullptr; }
	void Reset() { It.reset(); }
	T* operator->() const { return It.get(); }
	T& operator*() const { return *It; }
};

template <class T> class TWeakObjectPtr
{
	T* It = nullptr;

public:
	TWeakObjectPtr(T* Value) : It(Value) {}
	bool IsValid() const { return It != nullptr; }
	T* operator->() const { return It; }
};

struct FRotator
{
	FRotator(double, double, double) {}
	static const FRotator ZeroRotator;
};
inline const FRotator FRotator::ZeroRotator(0, 0, 0);

struct FMath
{
	template <class T> static T Min(T A, T B) { return std::min(A, B); }
	template <class T> static T Max(T A, T B) { return std::max(A, B); }
};

struct FPlatformTime { static double Seconds() { return 0; } };
struct FModuleManager { template <class T> static T& LoadModuleChecked(const TCHAR*) { static T It; return It; } };

enum ELevelTick { LEVELTICK_All };
struct FActorComponentTickFunction { bool bCanEverTick = false; };
namespace EEndPlayReason { enum Type { Destroyed }; }

class AActor;

class UActorComponent
{
public:
	virtual ~UActorComponent() = default;
	virtual void BeginPlay() {}
	virtual void EndPlay(const EEndPlayReason::Type) {}
	virtual void TickComponent(float, ELevelTick, FActorComponentTickFunction*) {}
	AActor* GetOwner() const { return nullptr; }
	FActorComponentTickFunction PrimaryComponentTick;
};
